"""Discriminators: one a scale, each with an unconditional and a conditional head."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from mirrorgan_tf.models.batch_norm import batch_normalization
from mirrorgan_tf.models.blocks import conv, full_precision
from mirrorgan_tf.models.convolution import Conv2D, convolution_as_product
from mirrorgan_tf.models.spectral_norm import SpectralConv2D

__all__ = [
    "ConditionalDiscriminator",
    "ConvBlock",
    "Discriminator",
    "JointBlock",
    "build_chain",
]

_SLOPE = 0.2
# By whether the kernel is normalised.
_CONVOLUTIONS = {False: Conv2D, True: SpectralConv2D}


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ConvBlock(layers.Layer):
    """Convolution without bias, batch norm, LeakyReLU 0.2.

    Args:
        channels: of the result.
        kernel_size: side of the kernel in px.
        strides: 1 keeps the side, 2 halves it.
        normalized: False leaves batch norm out.
        spectral_norm: of the kernel.
    """

    # (x, slope) to the same shape: what a backend may do better, set from outside.
    leaky_relu = staticmethod(ops.leaky_relu)

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        strides: int = 1,
        normalized: bool = True,
        spectral_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.kernel_size = kernel_size
        self.strides = strides
        self.spectral_norm = spectral_norm
        # 'same' pads 4×4 of stride 2 by one on each side, as PyTorch's padding 1.
        self.conv = conv(
            channels,
            kernel_size,
            strides=strides,
            layer=_CONVOLUTIONS[spectral_norm],
            dtype=self.dtype_policy,
        )
        self.norm = batch_normalization(dtype=self.dtype_policy) if normalized else None

    def build(self, input_shape):
        """Makes the variables."""
        self.conv.build((None, None, None, input_shape[-1]))
        if self.norm:
            self.norm.build((None, None, None, self.channels))
        self.built = True

    def call(self, x, batches=1, training=False):
        """(B, h, w, any) to (B, h / strides, w / strides, channels).

        `batches` that follow one another in `x` are normalised each on its own.
        """
        return self._activated(self.conv(x), batches, training)

    def _activated(self, x, batches, training):
        if self.norm:
            x = self.norm(x, batches=batches, training=training)
        return self.leaky_relu(x, _SLOPE)

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "channels": self.channels,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "normalized": self.norm is not None,
            "spectral_norm": self.spectral_norm,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class JointBlock(ConvBlock):
    """A `ConvBlock` of features and, at each position, the sentence.

    Its convolution is the sum of the features' and the sentence's: the former is the
    same for all sentences of an image, the latter needs no image.
    """

    def call(self, features, sentence, batches=1, training=False):
        """Features (N, h, w, C) and sentences (M, D) to (M, h, w, channels).

        Sentences N + 1 and on go with the features from the first on.
        """
        kernel = self.conv.convolving_kernel(training)
        of_features, of_sentence = ops.split(kernel, [features.shape[-1]], axis=2)
        seen = convolution_as_product(features, of_features, stride=1)
        again = ops.shape(sentence)[0] - ops.shape(features)[0]
        said = _convolved_everywhere(sentence, of_sentence, seen.shape[1:3])
        x = ops.concatenate([seen, seen[:again]]) + said
        return self._activated(x, batches, training)


def _convolved_everywhere(vectors, kernel, shape):
    """'same' convolution of (B, D) as if it stood at each of h · w positions.

    Args:
        vectors: (B, D).
        kernel: (size, size, D, channels).
        shape: h, w.

    Returns:
        (B, h, w, channels).
    """
    size, _, dim, channels = kernel.shape
    taps = ops.matmul(
        ops.cast(vectors, kernel.dtype)[None], ops.reshape(kernel, (-1, dim, channels))
    )
    rows, columns = (
        [
            [0 <= at + tap - size // 2 < side for tap in range(size)]
            for at in range(side)
        ]
        for side in shape
    )
    # (positions, taps): whose do not lie outside.
    inside = ops.cast(np.kron(rows, columns), kernel.dtype)
    x = ops.matmul(inside, ops.reshape(taps, (size**2, -1)))
    x = ops.reshape(x, (*shape, -1, channels))
    return ops.transpose(x, (2, 0, 1, 3))


class ConditionalDiscriminator(keras.Model):
    """Two heads on features of 4×4: "real", and "real and it fits the sentence".

    A subclass makes the layers of its trunk, then calls `_make_heads`, so that
    variables stand in the order of their use. Its `features` brings its inputs to
    (B, 4, 4, 8·width).

    Args:
        width: ndf; the features have 8·width channels.
        spectral_norm: of every convolution's kernel, beside the batch norms.
        normalized: False leaves all batch norms out.

    Source: the authors' code (AttnGAN's discriminators).
    """

    def __init__(
        self,
        width: int = 64,
        spectral_norm: bool = False,
        normalized: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.width = width
        self.spectral_norm = spectral_norm
        self.normalized = normalized

    def _block(self, channels, kernel_size, strides=1, normalized=True):
        return ConvBlock(
            channels,
            kernel_size,
            strides=strides,
            normalized=normalized and self.normalized,
            spectral_norm=self.spectral_norm,
            dtype=self.dtype_policy,
        )

    def _make_heads(self):
        self.joint_block = JointBlock(
            8 * self.width,
            3,
            normalized=self.normalized,
            spectral_norm=self.spectral_norm,
            dtype=self.dtype_policy,
        )
        self.unconditional_head, self.conditional_head = (
            conv(
                1,
                4,
                strides=4,
                use_bias=True,
                layer=_CONVOLUTIONS[self.spectral_norm],
                dtype=self.dtype_policy,
            )
            for _ in range(2)
        )

    def _build_heads(self, sentence_dim):
        channels = 8 * self.width
        self.joint_block.build((None, 4, 4, channels + sentence_dim))
        for head in (self.unconditional_head, self.conditional_head):
            head.build((None, 4, 4, channels))

    def unconditional(self, features, training=False):
        """Features to logits (B,) of "real"."""
        return self._logits(self.unconditional_head(features, training=training))

    def conditional(self, features, sentence, batches=1, training=False):
        """Features and sentence (B, D) to logits (B,) of "real and it fits".

        `batches`, here of sentences, as for `features`. Those beyond the features' go
        with the features from the first on.
        """
        joint = self.joint_block(features, sentence, batches=batches, training=training)
        return self._logits(self.conditional_head(joint, training=training))

    def call(self, inputs, sentence, training=False):
        """Judges what `features` takes, B of them, with sentences (B, D).

        Returns:
            Unconditional and conditional logits, each (B,).
        """
        features = self.features(inputs, training=training)
        return (
            self.unconditional(features, training=training),
            self.conditional(features, sentence, training=training),
        )

    def _logits(self, x):
        return full_precision(ops.reshape(x, (-1,)))

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {
            "width": self.width,
            "spectral_norm": self.spectral_norm,
            "normalized": self.normalized,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Discriminator(ConditionalDiscriminator):
    """Judges images of one size, alone and together with a sentence.

    The trunk halves the side down to 4, doubling the channels from `width` on,
    then brings them back to 8·width where they got beyond. The paper's are 64, 128
    and 256; below 64 the trunk's first layers are left out, so that it still ends
    at 8·width.

    Args:
        size: side of the images in px, a power of 2 from 16 up.
        width: ndf, channels of the first layer at 64 px and more.
        spectral_norm: of every convolution's kernel, beside the batch norms.
        normalized: False leaves all batch norms out.

    Raises:
        ValueError: an argument is out of its range.

    Source: the authors' code (AttnGAN's discriminators).
    """

    def __init__(
        self,
        size: int,
        width: int = 64,
        spectral_norm: bool = False,
        normalized: bool = True,
        **kwargs,
    ):
        super().__init__(width, spectral_norm, normalized, **kwargs)
        if size < 16 or size & (size - 1):
            raise ValueError(f"size={size}; expected a power of 2, at least 16")
        self.size = size
        halvings = (size // 4).bit_length() - 1
        first = max(0, 4 - halvings)
        self.down_blocks = [
            self._block(width * 2**i, 4, strides=2, normalized=i > first)
            for i in range(first, first + halvings)
        ]
        self.narrow_blocks = [
            self._block(width * 2**i, 3) for i in reversed(range(3, halvings - 1))
        ]
        self._make_heads()

    def build(self, inputs_shape, sentence_shape):
        """Makes the variables."""
        build_chain([*self.down_blocks, *self.narrow_blocks], 3)
        self._build_heads(sentence_shape[-1])
        self.built = True

    def features(self, images, batches=1, training=False):
        """Images (B, size, size, 3) in [-1, 1] to features (B, 4, 4, 8·width).

        Args:
            images: of one batch, or of several alike that follow one another: one pass,
                as weights are larger than what passes them, but statistics of their
                own.
            batches: how many.
            training: batch statistics.
        """
        x = images
        for block in [*self.down_blocks, *self.narrow_blocks]:
            x = block(x, batches=batches, training=training)
        return x

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"size": self.size}


def build_chain(blocks: Sequence[ConvBlock], channels: int) -> None:
    """Builds blocks that follow one another; the first one's input has `channels`."""
    for block in blocks:
        block.build((None, None, None, channels))
        channels = block.channels
