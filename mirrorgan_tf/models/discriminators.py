"""Discriminators: one for each scale, with an unconditional and a conditional head."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.batch_norm import batch_normalization
from mirrorgan_tf.models.blocks import Conv2D, conv, full_precision
from mirrorgan_tf.models.spectral_norm import SpectralConv2D
from mirrorgan_tf.ops.joint_convolution import joint_conv2d

__all__ = ["ConditionalDiscriminator", "ConvBlock", "Discriminator", "JointBlock"]

_NEGATIVE_SLOPE = 0.2


def _conv(channels, kernel_size, *, spectral_norm, **options):
    layer = SpectralConv2D if spectral_norm else Conv2D
    return conv(channels, kernel_size, layer=layer, **options)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ConvBlock(layers.Layer):
    """Convolution without bias, batch norm, LeakyReLU 0.2.

    Args:
        channels: of the output.
        kernel_size: side of the kernel in px.
        strides: 1 keeps the side, 2 halves it.
        normalized: False leaves batch norm out.
        spectral_norm: of the kernel.
    """

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
        # For a 4×4 kernel of stride 2, 'same' pads by one on each side, as the
        # original's padding=1 does.
        self.conv = _conv(
            channels,
            kernel_size,
            strides=strides,
            spectral_norm=spectral_norm,
            dtype=self.dtype_policy,
        )
        self.norm = batch_normalization(dtype=self.dtype_policy) if normalized else None

    def build(self, input_shape):
        self.conv.build((None, None, None, input_shape[-1]))
        if self.norm:
            self.norm.build((None, None, None, self.channels))
        self.built = True

    def call(self, x, batches=1, training=False):
        """(B, h, w, any) to (B, h / strides, w / strides, channels).

        `batches` that follow one another in `x` are normalised separately.
        """
        return self._normalize_and_activate(self.conv(x), batches, training)

    def _normalize_and_activate(self, x, batches, training):
        if self.norm:
            x = self.norm(x, batches=batches, training=training)
        return ops.leaky_relu(x, _NEGATIVE_SLOPE)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class JointBlock(ConvBlock):
    """A `ConvBlock` of image features and, at each position, the sentence."""

    def call(self, features, sentence, batches=1, training=False):
        """Features (N, h, w, C) and sentences (M, D) to (M, h, w, channels).

        Sentence N + i goes with features i.
        """
        kernel = self.conv.effective_kernel(training=training)
        x = joint_conv2d(features, sentence, kernel)
        return self._normalize_and_activate(x, batches, training)


class ConditionalDiscriminator(keras.Model):
    """A trunk of convolutions and two heads: "real", "real and matches the sentence".

    A subclass creates its blocks, then calls `_create_heads`, so that the variables are
    in the order of their use. Its property `trunk` lists the blocks in order; the last
    one's output is (B, 4, 4, 8·width).

    Args:
        width: ndf; the features have 8·width channels.
        spectral_norm: of every convolution's kernel, in addition to the batch norms.
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

    def _create_heads(self):
        self.joint_block = JointBlock(
            8 * self.width,
            3,
            normalized=self.normalized,
            spectral_norm=self.spectral_norm,
            dtype=self.dtype_policy,
        )
        self.unconditional_head, self.conditional_head = (
            _conv(
                1,
                4,
                strides=4,
                use_bias=True,
                spectral_norm=self.spectral_norm,
                dtype=self.dtype_policy,
            )
            for _ in range(2)
        )

    def build(self, inputs_shape, sentence_shape):
        channels = inputs_shape[-1]
        for block in self.trunk:
            block.build((None, None, None, channels))
            channels = block.channels
        self.joint_block.build((None, 4, 4, channels + sentence_shape[-1]))
        for head in (self.unconditional_head, self.conditional_head):
            head.build((None, 4, 4, channels))
        self.built = True

    def features(self, inputs, batches=1, training=False):
        """Images or feature maps (B, side, side, any) to features (B, 4, 4, 8·width).

        Args:
            inputs: one batch, or several of the same size that follow one another.
                They go through in one pass, since the weights are larger than the
                images, but each is normalised separately.
            batches: number of batches.
            training: use the statistics of the batch.
        """
        x = inputs
        for block in self.trunk:
            x = block(x, batches=batches, training=training)
        return x

    def unconditional(self, features, training=False):
        """Features to logits (B,) of "real"."""
        return _logits(self.unconditional_head(features, training=training))

    def conditional(self, features, sentence, batches=1, training=False):
        """Features and sentences to logits of "real and matches the sentence".

        Args:
            features: (N, 4, 4, 8·width).
            sentence: (M, D), N ≤ M ≤ 2N. Sentence N + i goes with features i.
            batches: number of batches of sentences, normalised separately.
            training: use the statistics of the batch.

        Returns:
            (M,).
        """
        joint = self.joint_block(features, sentence, batches=batches, training=training)
        return _logits(self.conditional_head(joint, training=training))

    def call(self, inputs, sentence, training=False):
        """Inputs of `features`, B of them, and sentences (B, D) to logits.

        Returns:
            Unconditional and conditional logits, each (B,).
        """
        features = self.features(inputs, training=training)
        return (
            self.unconditional(features, training=training),
            self.conditional(features, sentence, training=training),
        )

    def get_config(self):
        return super().get_config() | {
            "width": self.width,
            "spectral_norm": self.spectral_norm,
            "normalized": self.normalized,
        }


def _logits(x):
    return full_precision(ops.reshape(x, (-1,)))


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Discriminator(ConditionalDiscriminator):
    """Logits for images of one size, alone and together with a sentence.

    The trunk halves the side down to 4, doubling the channels from `width` on, then
    reduces them to 8·width where they exceed it. The paper's sizes are 64, 128 and
    256; below 64 the trunk's first layers are left out, so that it still ends at
    8·width.

    Args:
        size: side of the images in px, a power of 2 from 16 up.
        width: ndf, channels of the first layer at 64 px and more.
        **kwargs: see `ConditionalDiscriminator`.

    Raises:
        ValueError: the size is out of its range.

    Source: the authors' code (AttnGAN's discriminators).
    """

    def __init__(self, size: int, width: int = 64, **kwargs):
        super().__init__(width, **kwargs)
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
        self._create_heads()

    @property
    def trunk(self) -> list[ConvBlock]:
        """Images (B, size, size, 3) in [-1, 1] to features."""
        return [*self.down_blocks, *self.narrow_blocks]

    def get_config(self):
        return super().get_config() | {"size": self.size}
