"""A discriminator that reads a frozen network's feature maps of an image."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from mirrorgan_tf.models.blocks import conv
from mirrorgan_tf.models.discriminators import ConditionalDiscriminator, ConvBlock

__all__ = ["FeatureDiscriminator", "FeatureMixing", "MapDiscriminator"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class FeatureMixing(layers.Layer):
    """Fixed random projections that mix the channels and the scales of feature maps.

    Each map is resized to the next power of two (so that halving ends at 4 px), goes
    through a random 1×1 convolution, and receives the map below it, upsampled, through
    a random 3×3 convolution. Nothing here is trained: a discriminator of mixtures
    cannot rely on a few easy channels.

    Args:
        map_channels: channels of each map, the largest map first.
        channels: of every mixed map.

    Source: Sauer et al., Projected GANs Converge Faster (2021), section 3.2.
    """

    def __init__(self, map_channels: Sequence[int], channels: int, **kwargs):
        super().__init__(**kwargs)
        self.map_channels = list(map_channels)
        self.channels = channels
        self.lateral, self.downward = (
            [conv(channels, size, dtype=self.dtype_policy) for _ in maps]
            for size, maps in ((1, self.map_channels), (3, self.map_channels[1:]))
        )
        # Applies to the layers that exist by now.
        self.trainable = False

    def build(self, maps_shape=None):
        for layer, channels in zip(self.lateral, self.map_channels, strict=True):
            layer.build((None, None, None, channels))
        for layer in self.downward:
            layer.build((None, None, None, self.channels))
        self.built = True

    def call(self, maps):
        """Maps (B, h, w, any), the largest first, to as many (B, s, s, channels)."""
        mixed = []
        x = None
        for i in reversed(range(len(maps))):
            side = nearest_power_of_two(maps[i].shape[1])
            y = self.lateral[i](_resized(maps[i], side))
            if x is not None:
                y = self.downward[i](y + _resized(x, side))
            x = y
            mixed.append(x)
        return mixed[::-1]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class MapDiscriminator(ConditionalDiscriminator):
    """Logits for one feature map, alone and together with a sentence.

    Args:
        side: of the map in px, a power of two from 4 up.
        width: ndf; the last block has 8·width channels.
        **kwargs: see `ConditionalDiscriminator`.
    """

    def __init__(self, side: int, width: int = 64, **kwargs):
        super().__init__(width, **kwargs)
        self.side = side
        halvings = (side // 4).bit_length() - 1
        self.blocks = [
            self._block(8 * width // 2**i, 4, strides=2)
            for i in reversed(range(halvings))
        ] or [self._block(8 * width, 3)]
        self._create_heads()

    @property
    def trunk(self) -> list[ConvBlock]:
        """A feature map (B, side, side, any) to features."""
        return self.blocks

    def get_config(self):
        return super().get_config() | {"side": self.side}


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class FeatureDiscriminator(ConditionalDiscriminator):
    """Discriminators of a frozen network's maps of an image, one for each map.

    It has the interface of `Discriminator`, but takes feature maps instead of images,
    and its logits are (B, number of maps).

    Args:
        map_shapes: (side in px, channels) of each map, the largest first.
        width: ndf of the discriminators.
        **kwargs: see `ConditionalDiscriminator`.

    Source: Sauer et al., Projected GANs Converge Faster (2021); conditioned on captions
    as in Tao et al., GALIP (2023).
    """

    def __init__(
        self, map_shapes: Sequence[tuple[int, int]], width: int = 64, **kwargs
    ):
        super().__init__(width, **kwargs)
        self.map_shapes = [tuple(shape) for shape in map_shapes]
        self.mixing = FeatureMixing(
            [channels for _, channels in self.map_shapes],
            4 * width,
            dtype=self.dtype_policy,
        )
        self.discriminators = [
            MapDiscriminator(
                nearest_power_of_two(side),
                width,
                spectral_norm=self.spectral_norm,
                normalized=self.normalized,
                dtype=self.dtype_policy,
            )
            for side, _ in self.map_shapes
        ]

    def build(self, inputs_shape, sentence_shape):
        self.mixing.build()
        for discriminator in self.discriminators:
            side = discriminator.side
            discriminator.build((None, side, side, 4 * self.width), sentence_shape)
        self.built = True

    def features(self, maps, batches=1, training=False):
        """Maps (B, h, w, any) to a list of (B, 4, 4, 8·width), one for each map."""
        return [
            discriminator.features(x, batches=batches, training=training)
            for discriminator, x in zip(
                self.discriminators, self.mixing(maps), strict=True
            )
        ]

    def unconditional(self, features, training=False):
        """Features to logits (B, maps) of "real"."""
        return ops.stack(
            [
                discriminator.unconditional(x, training=training)
                for discriminator, x in zip(self.discriminators, features, strict=True)
            ],
            axis=1,
        )

    def conditional(self, features, sentence, batches=1, training=False):
        """Features and sentences (M, D) to logits (M, maps), see `Discriminator`."""
        return ops.stack(
            [
                discriminator.conditional(
                    x, sentence, batches=batches, training=training
                )
                for discriminator, x in zip(self.discriminators, features, strict=True)
            ],
            axis=1,
        )

    def get_config(self):
        return super().get_config() | {"map_shapes": self.map_shapes}


def nearest_power_of_two(side: int) -> int:
    """A power of two near `side`, at least 4: 35 gives 32, 7 gives 8, 56 gives 64."""
    return max(4, 2 ** round(math.log2(side)))


def _resized(x, side):
    """Bilinear resizing as a product of matrices.

    TensorFlow's own operation has no second derivative: a gradient penalty through it
    has a wrong gradient, without an error.
    """
    if x.shape[1] == side:
        return x
    _, height, width, channels = x.shape
    matrix = ops.cast(_interpolation(height, side), x.dtype)
    rows = ops.matmul(matrix, ops.reshape(x, (-1, height, width * channels)))
    return ops.matmul(matrix, ops.reshape(rows, (-1, side, width, channels)))


def _interpolation(before: int, after: int) -> np.ndarray:
    """Matrix (after, before) of linear interpolation between pixel centres."""
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    centres = np.clip(centres, 0, before - 1)
    distances = np.abs(centres[:, None] - np.arange(before))
    return np.maximum(0.0, 1.0 - distances)
