"""The image networks that the encoders use, by name.

A frozen backbone is one entry of `_FROZEN_NETWORKS`; nothing else needs to know it.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers, ops

from mirrorgan_tf.models import torchvision
from mirrorgan_tf.models.batch_norm import batch_normalization
from mirrorgan_tf.models.blocks import conv, dense

__all__ = ["BACKBONES", "FrozenBackbone", "SmallBackbone", "build_backbone"]


class _FrozenNetwork(NamedTuple):
    """A network without its head, and its inputs and outputs."""

    build: Callable[..., keras.Model]
    size_px: int
    # Layers whose outputs are the feature maps, from the largest map to the last layer.
    map_layers: tuple[str, ...]
    # The map layer whose positions are DAMSM's regions.
    region_layer: str
    # Maps [-1, 1] to the range that the weights were trained on; None: [-1, 1].
    preprocess: Callable | None = None
    # Whether Keras can download weights for it.
    downloads: bool = False


def _from_keras(application):
    def build(size_px, weights=None):
        return application(
            include_top=False, weights=weights, input_shape=(size_px, size_px, 3)
        )

    return build


def _resnet_input(images):
    """From [-1, 1] to 0..255 without ImageNet's mean, blue first."""
    return keras.applications.resnet.preprocess_input((images + 1.0) * 127.5)


_FROZEN_NETWORKS = {
    "inception_v3": _FrozenNetwork(
        _from_keras(keras.applications.InceptionV3),
        299,
        ("mixed2", "mixed7", "mixed10"),
        "mixed7",
        downloads=True,
    ),
    "resnet152": _FrozenNetwork(
        _from_keras(keras.applications.ResNet152),
        224,
        (
            "conv2_block3_out",
            "conv3_block8_out",
            "conv4_block36_out",
            "conv5_block3_out",
        ),
        "conv4_block36_out",
        preprocess=_resnet_input,
        downloads=True,
    ),
    "inception_v3_torchvision": _FrozenNetwork(
        torchvision.inception_v3,
        299,
        ("Mixed_5d", "Mixed_6e", "Mixed_7c"),
        "Mixed_6e",
    ),
    "resnet152_torchvision": _FrozenNetwork(
        torchvision.resnet152,
        224,
        ("layer1", "layer2", "layer3", "layer4"),
        "layer3",
    ),
}

# The names that the settings --image_encoder and --stream_encoder take.
BACKBONES = ("small", *_FROZEN_NETWORKS)


def build_backbone(
    name: str, weights: str = "none", width: int = 32, dtype=None
) -> layers.Layer:
    """Builds a backbone: images (B, H, W, 3) in [-1, 1] to regions and a code.

    Calling it returns a feature map (B, h, w, C) and a pooled vector (B, C'). It takes
    images of any size and resizes them. `feature_maps` returns all maps that a
    discriminator may use, and `from_maps` turns these into the result of a call, so
    that one pass through a frozen backbone serves both.

    Args:
        name: "small" is trained here; "inception_v3" and "resnet152", and those of
            torchvision ("inception_v3_torchvision", "resnet152_torchvision"), stay
            frozen.
        weights: "imagenet" (not torchvision's: their weights come from the original's
            checkpoints, see `convert`), "none" or the path of a Keras weights file.
        width: channels of the first layer of "small".
        dtype: policy; None = the global one.

    Raises:
        ValueError: the name is unknown, or the weights can't be loaded.
    """
    if name == "small":
        if weights not in ("none", "imagenet"):
            raise ValueError(
                f"weights={weights!r}: backbone small takes no weights file, only none"
            )
        return SmallBackbone(width, dtype=dtype)
    if name in _FROZEN_NETWORKS:
        return FrozenBackbone(name, weights, dtype=dtype)
    raise ValueError(f"name={name!r}; expected one of {', '.join(BACKBONES)}")


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class SmallBackbone(layers.Layer):
    """A small trainable CNN for images of 64 px; others are resized to that.

    Each halving but the first is followed by another convolution, without which it
    hardly learns shapes. Feature map (B, 8, 8, 4·width), code (B, 8·width). The code is
    a dense layer of the flattened last map (4, 4, 8·width), not of its mean, since the
    position of a colour tells which part of a bird has it.

    Args:
        width: channels of the first layer.
    """

    size = 64

    def __init__(self, width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.region_dim = 4 * width
        self.pooled_dim = 8 * width
        policy = self.dtype_policy
        self.convs = [conv(width, 3, strides=2, dtype=policy)]
        for channels in (2 * width, 4 * width, 8 * width):
            self.convs += [
                conv(channels, 3, strides=strides, dtype=policy) for strides in (2, 1)
            ]
        self.norms = [batch_normalization(dtype=policy) for _ in self.convs]
        self.code_dense = dense(self.pooled_dim, dtype=policy)
        self.code_norm = batch_normalization(dtype=policy)

    def build(self, input_shape):
        channels = input_shape[-1]
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            convolution.build((None, None, None, channels))
            channels = convolution.filters
            norm.build((None, None, None, channels))
        self.code_dense.build((None, 4 * 4 * channels))
        self.code_norm.build((None, self.pooled_dim))
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) to feature map and pooled vector."""
        return self.from_maps(self.feature_maps(images, training), training)

    def feature_maps(self, images, training=False):
        """Images (B, H, W, 3) to maps of 32, 16, 8 and 4 px, width to 8·width wide."""
        x = _resize(images, self.size)
        maps = []
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            x = ops.relu(norm(convolution(x), training=training))
            maps.append(x)
        # The last map of each size.
        return maps[::2]

    def from_maps(self, maps, training=False):
        """The result of a call, from that of `feature_maps`."""
        last = ops.reshape(maps[-1], (-1, self.code_dense.kernel.shape[0]))
        code = self.code_norm(self.code_dense(last), training=training)
        return maps[2], ops.relu(code)

    @property
    def map_shapes(self) -> list[tuple[int, int]]:
        """Side in px and channels of each feature map."""
        return [(self.size // 2**i, self.width * 2 ** (i - 1)) for i in range(1, 5)]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class FrozenBackbone(layers.Layer):
    """A frozen network with the preprocessing of its weights.

    Inception v3: feature map (B, 17, 17, 768), torchvision's Mixed_6e, and pooled
    (B, 2048). ResNet-152: (B, 14, 14, 1024) and (B, 2048). The authors feed their
    ResNet with images in [-1, 1]. "resnet152" gets the range that ImageNet's weights
    were trained on; "resnet152_torchvision", meant for the authors' weights, gets
    [-1, 1] as theirs does. Both kinds of Inception take [-1, 1].

    A saved model contains the weights, so its config has weights "none".

    Args:
        architecture: see `build_backbone`.
        weights: "imagenet", "none" or the path of a Keras weights file.

    Raises:
        ValueError: the weights can't be loaded.
    """

    def __init__(self, architecture: str, weights: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        spec = _FROZEN_NETWORKS[architecture]
        self.size = spec.size_px
        self.preprocess = spec.preprocess
        network = spec.build(self.size)
        _load_weights(network, architecture, weights)
        outputs = [network.get_layer(name).output for name in spec.map_layers]
        self.network = keras.Model(network.input, outputs)
        self.network.trainable = False
        self.region_map = spec.map_layers.index(spec.region_layer)
        self.region_dim = outputs[self.region_map].shape[-1]
        self.pooled_dim = outputs[-1].shape[-1]

    def build(self, input_shape):
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) to feature map and pooled vector."""
        return self.from_maps(self.feature_maps(images))

    def feature_maps(self, images, training=False):
        """Images (B, H, W, 3) to maps, from the largest to the smallest."""
        images = _resize(images, self.size)
        if self.preprocess:
            images = self.preprocess(images)
        # Frozen: batch norm keeps to its own statistics even in training.
        return self.network(images, training=False)

    def from_maps(self, maps, training=False):
        """The result of a call, from that of `feature_maps`."""
        return maps[self.region_map], ops.mean(maps[-1], axis=(1, 2))

    @property
    def map_shapes(self) -> list[tuple[int, int]]:
        """Side in px and channels of each feature map."""
        return [shape[1::2] for shape in self.network.output_shape]

    def get_config(self):
        return super().get_config() | {
            "architecture": self.architecture,
            "weights": "none",
        }


def _load_weights(network, architecture, weights):
    if weights == "none":
        return
    spec = _FROZEN_NETWORKS[architecture]
    if weights == "imagenet" and not spec.downloads:
        raise ValueError(
            f"weights={weights!r}: {architecture} has none to download; convert the "
            "original's checkpoints (mirrorgan convert), or give none or "
            "the path of a Keras weights file"
        )
    try:
        if weights == "imagenet":
            # Keras downloads weights only together with a network.
            pretrained = spec.build(spec.size_px, weights)
            network.set_weights(pretrained.get_weights())
        else:
            network.load_weights(weights)
    except Exception as error:
        # Keras raises anything here, from bare Exception to errors of h5py.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"weights={weights!r}: can't be loaded into {architecture} ({reason}); "
            "give the path of a Keras weights file without the top layers, or none"
        ) from error


def _resize(images, size):
    height, width = images.shape[1:3]
    if (height, width) == (size, size):
        return images
    if height == width and height % size == 0:
        # Average blocks: bilinear resizing would skip pixels.
        return ops.average_pool(images, height // size, height // size)
    return ops.image.resize(images, (size, size), interpolation="bilinear")
