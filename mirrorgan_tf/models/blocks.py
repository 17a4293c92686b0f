"""What generator and discriminators are made of."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.batch_norm import batch_normalization, normalized
from mirrorgan_tf.models.convolution import Conv2D
from mirrorgan_tf.models.rematerialization import Block

__all__ = [
    "GLU",
    "Orthogonal",
    "ResidualBlock",
    "UpBlock",
    "conv",
    "corner_convs",
    "dense",
    "full_precision",
    "gate_openings",
    "join_corners",
    "recurrent_policy",
]


# Side in px from which summing a kernel's taps costs less than it saves: below, there
# are as many channels as pixels.
_WORTH_IT = 16


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Orthogonal(keras.initializers.Orthogonal):
    """Keras' initializer for any dtype: its QR knows no bfloat16."""

    def __call__(self, shape, dtype=None):
        """Draws in float32."""
        return ops.cast(super().__call__(shape, "float32"), dtype or "float32")


def conv(
    channels: int,
    kernel_size: int,
    *,
    strides: int = 1,
    use_bias: bool = False,
    layer: type[layers.Conv2D] = Conv2D,
    dtype,
) -> layers.Conv2D:
    """A 'same' convolution, orthogonal at the start (authors' code)."""
    return layer(
        channels,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=Orthogonal(),
        dtype=dtype,
    )


def dense(units: int, *, use_bias: bool = False, dtype) -> layers.Dense:
    """A dense layer, orthogonal at the start (authors' code)."""
    return layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=Orthogonal(),
        dtype=dtype,
    )


def corner_convs(x, kernel, bias=None):
    """Nearest-neighbour upsampling by 2, then a 'same' 3×3 convolution, by corners.

    Of three neighbours at twice the side two are the same pixel. So each of the four
    corners of a pixel is a 2×2 convolution at the side there is, with sums of the
    kernel's taps: 4/9 of the multiplications.

    Args:
        x: (B, h, w, channels).
        kernel: (3, 3, channels, any).
        bias: (any,), or None.

    Returns:
        Four times (B, h, w, any), for `join_corners`: upper left, upper right, lower
        left, lower right.
    """
    _, height, width, _ = x.shape
    # All corners from one image, a side more than each needs: four are not to be kept.
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = []
    for down in (0, 1):
        halves = _two_taps(kernel, down, axis=0)
        for right in (0, 1):
            corner = ops.conv(x, _two_taps(halves, right, axis=1), padding="valid")
            corner = ops.slice(
                corner,
                (0, down, right, 0),
                (ops.shape(x)[0], height, width, corner.shape[-1]),
            )
            corners.append(corner if bias is None else ops.add(corner, bias))
    return corners


def join_corners(corners):
    """Four corners of each pixel, (B, h, w, any), as one (B, 2h, 2w, any)."""
    _, height, width, channels = corners[0].shape
    upper, lower = (ops.stack(corners[i : i + 2], axis=3) for i in (0, 2))
    # (B, h, 2, w, 2, any)
    x = ops.stack([upper, lower], axis=2)
    return ops.reshape(x, (-1, 2 * height, 2 * width, channels))


def _two_taps(kernel, second, axis):
    """Three taps as two: the first or the second pixel of a pair sees two as one."""
    before, here, after = ops.split(kernel, 3, axis=axis)
    pair = (before + here, after) if second else (before, here + after)
    return ops.concatenate(pair, axis=axis)


def recurrent_policy(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """For loops: compute in the weights' dtype, which each step would cast again."""
    return keras.DTypePolicy(policy.variable_dtype)


def full_precision(x):
    """Casts half precision to float32; wider floats stay."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def gate_openings(gates):
    """Sigmoid by way of float32: half precision's takes TensorFlow twice as long."""
    return ops.cast(ops.sigmoid(full_precision(gates)), gates.dtype)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class GLU(layers.Layer):
    """Gated linear unit: (..., 2C) to (..., C), first half · sigmoid(second)."""

    # (values, gates) to the same shape: what a backend may do better, set from outside.
    gated = staticmethod(lambda values, gates: values * gate_openings(gates))

    def call(self, x):
        """Gates the first half of the channels with the second."""
        return self.gated(*ops.split(x, 2, axis=-1))

    def compute_output_shape(self, input_shape):
        """Half the channels."""
        return (*input_shape[:-1], input_shape[-1] // 2)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class UpBlock(Block):
    """Doubles the side: nearest neighbour, conv 3×3, batch norm, GLU.

    (B, h, w, any) to (B, 2h, 2w, channels).

    Args:
        channels: of the result.
        normalization: False has a bias in place of the batch norm.
    """

    # (x, kernel) to x at twice the side, convolved, or to None: what a backend may do
    # better for training, set from outside.
    upsampled = None

    def __init__(self, channels: int, normalization: bool = True, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.channels = channels
        self.normalization = normalization
        self.upsampling = layers.UpSampling2D(2, dtype=policy)
        self.conv = conv(2 * channels, 3, use_bias=not normalization, dtype=policy)
        self.norm = batch_normalization(dtype=policy) if normalization else None
        self.glu = GLU(dtype=self.dtype_policy)

    def build(self, input_shape):
        """Makes the variables."""
        self.conv.build((None, None, None, input_shape[-1]))
        if self.norm:
            self.norm.build((None, None, None, 2 * self.channels))
        self.built = True

    def call(self, x, training=False):
        """(B, h, w, any) to (B, 2h, 2w, channels)."""
        if self.norm and self.upsampled is not None:
            large = self.upsampled(x, self.conv.kernel)
            if large is not None:
                return self.glu(self.norm(large, training=training))
        if x.shape[1] < _WORTH_IT:
            x = self.conv(self.upsampling(x))
            return self.glu(normalized(x, self.norm, training=training))
        if self.norm:
            x = join_corners(corner_convs(x, self.conv.kernel))
            return self.glu(self.norm(x, training=training))
        # Joined last: half as much to move, and a corner stays in the cache.
        corners = corner_convs(x, self.conv.kernel, self.conv.bias)
        return join_corners([self.glu(corner) for corner in corners])

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "channels": self.channels,
            "normalization": self.normalization,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ResidualBlock(Block):
    """Two convolutions with a GLU between, added to the input.

    (B, h, w, channels) to the same. Nothing follows the sum (authors' code).

    Args:
        channels: of input and result.
        normalization: False has biases in place of the batch norms.
    """

    def __init__(self, channels: int, normalization: bool = True, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        use_bias = not normalization
        self.channels = channels
        self.normalization = normalization
        self.conv1 = conv(2 * channels, 3, use_bias=use_bias, dtype=policy)
        self.norm1 = batch_normalization(dtype=policy) if normalization else None
        self.glu = GLU(dtype=policy)
        self.conv2 = conv(channels, 3, use_bias=use_bias, dtype=policy)
        self.norm2 = batch_normalization(dtype=policy) if normalization else None

    def build(self, input_shape):
        """Makes the variables."""
        if input_shape[-1] != self.channels:
            raise ValueError(
                f"input_shape={input_shape}; expected {self.channels} channels"
            )
        self.conv1.build((None, None, None, self.channels))
        self.conv2.build((None, None, None, self.channels))
        if self.normalization:
            self.norm1.build((None, None, None, 2 * self.channels))
            self.norm2.build((None, None, None, self.channels))
        self.built = True

    def call(self, x, training=False):
        """(B, h, w, channels) to the same."""
        hidden = self.glu(normalized(self.conv1(x), self.norm1, training=training))
        return x + normalized(self.conv2(hidden), self.norm2, training=training)

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "channels": self.channels,
            "normalization": self.normalization,
        }
