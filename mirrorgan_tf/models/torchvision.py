"""torchvision's Inception v3 and ResNet-152 without their heads, in Keras layers.

The original's encoders are built on these. The networks of the same names in
keras.applications differ, so that the original's weights do not fit them:

- Inception v3: torchvision's batch norms have a scale, Keras' have none; its average
  pooling inside the blocks counts the zeros of the padding, Keras' leaves them out.
- ResNet-152: torchvision halves the side in a block's 3×3 convolution, Keras in the
  first 1×1; it pads by one on every side, where 'same' pads an even side below and on
  the right only; its convolutions have no biases; its batch norms add 1e-5 to the
  variance, Keras' 1.001e-5.

Every layer with weights has the name of torchvision's module, and the layer that
computes a module's result has the name of that module. Images are resized for these
networks as today's PyTorch does it. PyTorch of 2018 aligned the corners, which moves
the sampled positions by up to 0.07 px.
"""

import keras
from keras import layers

__all__ = ["fid_inception", "inception_v3", "resnet152"]

_BLOCKS_A = {"Mixed_5b": 32, "Mixed_5c": 64, "Mixed_5d": 64}
_BLOCKS_C = {"Mixed_6b": 128, "Mixed_6c": 160, "Mixed_6d": 160, "Mixed_6e": 192}
_BLOCKS_E = ("Mixed_7b", "Mixed_7c")
_THREE, _ROW, _COLUMN = (3, 3), (1, 7), (7, 1)


def inception_v3(size_px: int = 299, width: float = 1.0) -> keras.Model:
    """Inception v3: images (B, size, size, 3) to "Mixed_7c", (B, h, w, 2048).

    Args:
        size_px: side of the images, at least 75.
        width: factor on every layer's channels.
    """
    return _build_inception(_Inception(width), size_px)


def fid_inception() -> keras.Model:
    """The Inception network of published FIDs, without its head.

    TF-slim's network of 2015, as pytorch-fid and torch-fidelity load it from
    pt_inception-2015-12-05. It differs from `inception_v3` in the pooling inside the
    blocks: averages leave the padding out, and "Mixed_7c" takes maxima instead.

    Returns:
        Model: images (B, 299, 299, 3) in [-1, 1] to "Mixed_7c", (B, 8, 8, 2048).
    """
    return _build_inception(_FidInception(1.0), 299)


def _build_inception(net, size_px):
    images = x = layers.Input((size_px, size_px, 3))
    x = net.conv(x, "Conv2d_1a_3x3", 32, _THREE, stride=2)
    x = net.conv(x, "Conv2d_2a_3x3", 32, _THREE, padding="valid")
    x = net.conv(x, "Conv2d_2b_3x3", 64, _THREE)
    x = layers.MaxPooling2D(3, 2)(x)
    x = net.conv(x, "Conv2d_3b_1x1", 80, (1, 1))
    x = net.conv(x, "Conv2d_4a_3x3", 192, _THREE, padding="valid")
    x = layers.MaxPooling2D(3, 2)(x)
    for name, pooled in _BLOCKS_A.items():
        x = net.block_a(x, name, pooled)
    x = net.block_b(x, "Mixed_6a")
    for name, inner in _BLOCKS_C.items():
        x = net.block_c(x, name, inner)
    x = net.block_d(x, "Mixed_7a")
    for name in _BLOCKS_E:
        x = net.block_e(x, name)
    return keras.Model(images, x)


class _Inception:
    """Builds the blocks, all with the same factor on the channels."""

    def __init__(self, width):
        self._width = width

    def conv(self, x, name, filters, kernel, *, stride=1, padding=None):
        """Convolution, batch norm, ReLU; of stride 2 without padding."""
        padding = padding or ("same" if stride == 1 else "valid")
        x = layers.Conv2D(
            max(1, round(filters * self._width)),
            kernel,
            strides=stride,
            padding=padding,
            use_bias=False,
            name=f"{name}.conv",
        )(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}.bn")(x)
        return layers.ReLU(name=name)(x)

    def chain(self, x, block, *convs):
        """Convolutions one after the other: (name, filters, kernel[, stride])."""
        for name, filters, kernel, *stride in convs:
            x = self.conv(
                x, f"{block}.{name}", filters, kernel, stride=stride[0] if stride else 1
            )
        return x

    def pooled(self, x, block, filters):
        """The pooling branch: the padding's zeros count."""
        x = layers.AveragePooling2D(3, 1)(layers.ZeroPadding2D(1)(x))
        return self.chain(x, block, ("branch_pool", filters, (1, 1)))

    def block_a(self, x, name, pooled):
        """35×35."""
        one = self.chain(x, name, ("branch1x1", 64, (1, 1)))
        five = self.chain(
            x, name, ("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))
        )
        double = self.chain(
            x,
            name,
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, _THREE),
            ("branch3x3dbl_3", 96, _THREE),
        )
        return _join(name, one, five, double, self.pooled(x, name, pooled))

    def block_b(self, x, name):
        """35×35 to 17×17."""
        three = self.chain(x, name, ("branch3x3", 384, _THREE, 2))
        double = self.chain(
            x,
            name,
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, _THREE),
            ("branch3x3dbl_3", 96, _THREE, 2),
        )
        return _join(name, three, double, layers.MaxPooling2D(3, 2)(x))

    def block_c(self, x, name, inner):
        """17×17."""
        one = self.chain(x, name, ("branch1x1", 192, (1, 1)))
        seven = self.chain(
            x,
            name,
            ("branch7x7_1", inner, (1, 1)),
            ("branch7x7_2", inner, _ROW),
            ("branch7x7_3", 192, _COLUMN),
        )
        double = self.chain(
            x,
            name,
            ("branch7x7dbl_1", inner, (1, 1)),
            ("branch7x7dbl_2", inner, _COLUMN),
            ("branch7x7dbl_3", inner, _ROW),
            ("branch7x7dbl_4", inner, _COLUMN),
            ("branch7x7dbl_5", 192, _ROW),
        )
        return _join(name, one, seven, double, self.pooled(x, name, 192))

    def block_d(self, x, name):
        """17×17 to 8×8."""
        three = self.chain(
            x, name, ("branch3x3_1", 192, (1, 1)), ("branch3x3_2", 320, _THREE, 2)
        )
        seven = self.chain(
            x,
            name,
            ("branch7x7x3_1", 192, (1, 1)),
            ("branch7x7x3_2", 192, _ROW),
            ("branch7x7x3_3", 192, _COLUMN),
            ("branch7x7x3_4", 192, _THREE, 2),
        )
        return _join(name, three, seven, layers.MaxPooling2D(3, 2)(x))

    def block_e(self, x, name):
        """8×8."""
        one = self.chain(x, name, ("branch1x1", 320, (1, 1)))
        three = self.chain(x, name, ("branch3x3_1", 384, (1, 1)))
        double = self.chain(
            x,
            name,
            ("branch3x3dbl_1", 448, (1, 1)),
            ("branch3x3dbl_2", 384, _THREE),
        )
        return _join(
            name,
            one,
            *self.fork(three, name, "branch3x3_2"),
            *self.fork(double, name, "branch3x3dbl_3"),
            self.pooled(x, name, 192),
        )

    def fork(self, x, block, stem):
        """Two parallel convolutions, 1×3 and 3×1."""
        return [
            self.chain(x, block, (f"{stem}{letter}", 384, kernel))
            for letter, kernel in (("a", (1, 3)), ("b", (3, 1)))
        ]


class _FidInception(_Inception):
    """Builds the blocks with the pooling of the network of 2015."""

    def pooled(self, x, block, filters):
        """The pooling branch: the padding does not count."""
        pool = layers.MaxPooling2D if block == "Mixed_7c" else layers.AveragePooling2D
        x = pool(3, 1, padding="same")(x)
        return self.chain(x, block, ("branch_pool", filters, (1, 1)))


def _join(name, *branches):
    return layers.Concatenate(name=name)(list(branches))


def resnet152(
    size_px: int = 224, width: int = 64, blocks: tuple[int, ...] = (3, 8, 36, 3)
) -> keras.Model:
    """ResNet-152: images (B, size, size, 3) to "layer4", (B, h, w, 32·width).

    Args:
        size_px: side of the images, a multiple of 32.
        width: channels of the first layer.
        blocks: bottlenecks of layer 1, 2, ...
    """
    images = layers.Input((size_px, size_px, 3))
    x = layers.ZeroPadding2D(3)(images)
    x = layers.Conv2D(width, 7, strides=2, use_bias=False, name="conv1")(x)
    x = layers.ReLU(name="relu")(_norm(x, "bn1"))
    # Padding with zeros is right for maxima of values that are at least 0.
    x = layers.MaxPooling2D(3, 2, name="maxpool")(layers.ZeroPadding2D(1)(x))
    for stage, count in enumerate(blocks, start=1):
        for i in range(count):
            stride = 2 if stage > 1 and i == 0 else 1
            # The last block's result is the layer's.
            result = f"layer{stage}" if i == count - 1 else None
            channels = width * 2 ** (stage - 1)
            x = _bottleneck(x, f"layer{stage}.{i}", channels, stride, i == 0, result)
    return keras.Model(images, x)


def _bottleneck(x, name, channels, stride, widens, result):
    """1×1, 3×3, 1×1, and the input, widened where the number of channels changes."""

    def conv(x, part, filters, kernel=1, stride=1):
        if kernel == 3:
            x = layers.ZeroPadding2D(1)(x)
        return layers.Conv2D(
            filters, kernel, strides=stride, use_bias=False, name=f"{name}.{part}"
        )(x)

    inner = layers.ReLU()(_norm(conv(x, "conv1", channels), f"{name}.bn1"))
    inner = conv(inner, "conv2", channels, kernel=3, stride=stride)
    inner = layers.ReLU()(_norm(inner, f"{name}.bn2"))
    inner = _norm(conv(inner, "conv3", 4 * channels), f"{name}.bn3")
    if widens:
        x = conv(x, "downsample.0", 4 * channels, stride=stride)
        x = _norm(x, f"{name}.downsample.1")
    return layers.ReLU(name=result)(layers.Add()([inner, x]))


def _norm(x, name):
    return layers.BatchNormalization(epsilon=1e-5, name=name)(x)
