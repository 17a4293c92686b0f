"""GLAM: sentence, words and noise to images of increasing size."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.attention import SentenceAttention, WordAttention
from mirrorgan_tf.models.batch_norm import batch_normalization, normalize
from mirrorgan_tf.models.blocks import (
    GLU,
    ResidualBlock,
    UpBlock,
    conv,
    dense,
    full_precision,
)
from mirrorgan_tf.models.conditioning import ConditioningAugmentation

__all__ = ["FirstStage", "Glam", "ImageHead", "LaterStage"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class FirstStage(layers.Layer):
    """F0: condition and noise, (B, any), to features (B, size, size, width).

    Each UpBlock but the last halves the channels.

    Args:
        size: side in px, a power of 2 from 8 up.
        width: ngf, channels of the output.
        inner_width: what the channels of all layers but the last are multiples of, as
            if it were ngf; None: width.
        normalization: False has biases in place of the batch norms.
    """

    def __init__(
        self,
        size: int,
        width: int,
        inner_width: int | None = None,
        normalization: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        doublings = (size // 4).bit_length() - 1
        inner_width = inner_width or width
        self.channels = inner_width * 2**doublings
        up_widths = [inner_width * 2**i for i in reversed(range(1, doublings))]
        self.dense = dense(
            2 * 16 * self.channels, use_bias=not normalization, dtype=policy
        )
        self.norm = batch_normalization(dtype=policy) if normalization else None
        self.glu = GLU(dtype=policy)
        self.up_blocks = [
            UpBlock(up_width, normalization=normalization, dtype=policy)
            for up_width in [*up_widths, width]
        ]

    def build(self, input_shape):
        self.dense.build(input_shape)
        if self.norm:
            self.norm.build((None, 2 * 16 * self.channels))
        channels = self.channels
        for block in self.up_blocks:
            block.build((None, None, None, channels))
            channels = block.channels
        self.built = True

    def call(self, x, training=False):
        """(B, any) to (B, size, size, width)."""
        x = self.glu(normalize(self.dense(x), self.norm, training=training))
        x = ops.reshape(x, (-1, 4, 4, self.channels))
        for block in self.up_blocks:
            x = block(x, training=training)
        return x


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class LaterStage(layers.Layer):
    """F1, F2, ..: attention, residual blocks, twice the side.

    With both attentions a 1×1 convolution brings features and contexts, 3·width,
    to 2·width. With one they are 2·width already, and there is no such
    convolution: words alone are AttnGAN's stage exactly.

    Args:
        width: ngf, channels of input and output.
        residual_blocks: their number.
        word_attention: mix words in (paper, eq. 4).
        sentence_attention: mix the sentence in (paper, eq. 5).
        normalization: False has biases in place of the batch norms.
    """

    def __init__(
        self,
        width: int,
        residual_blocks: int,
        word_attention: bool = True,
        sentence_attention: bool = True,
        normalization: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.width = width
        policy = self.dtype_policy
        self.words = WordAttention(width, dtype=policy) if word_attention else None
        self.sentence = (
            SentenceAttention(width, dtype=policy) if sentence_attention else None
        )
        self.merged = width * (1 + bool(word_attention) + bool(sentence_attention))
        self.narrowing = (
            None if self.merged == 2 * width else conv(2 * width, 1, dtype=policy)
        )
        self.residual_blocks = [
            ResidualBlock(2 * width, normalization=normalization, dtype=policy)
            for _ in range(residual_blocks)
        ]
        self.up_block = UpBlock(width, normalization=normalization, dtype=policy)

    def build(self, features_shape, words_shape, condition_shape):
        if self.words:
            self.words.build(features_shape, words_shape)
        if self.sentence:
            self.sentence.build(features_shape, condition_shape)
        if self.narrowing:
            self.narrowing.build((None, None, None, self.merged))
        for block in self.residual_blocks:
            block.build((None, None, None, 2 * self.width))
        self.up_block.build((None, None, None, 2 * self.width))
        self.built = True

    def call(
        self,
        features,
        words,
        condition,
        padding_mask=None,
        word_weights=None,
        training=False,
    ):
        """Refines and doubles.

        Args:
            features: (B, h, w, width).
            words: (B, L, D).
            condition: (B, D'), s_ca.
            padding_mask: (B, L) bool, True = padded.
            word_weights: see `WordAttention`.
            training: batch statistics.

        Returns:
            features (B, 2h, 2w, width), word attention (B, h, w, L) or None,
            sentence attention (B, h, w, width) or None.
        """
        parts = [features]
        word_map = sentence_map = None
        if self.words:
            context, word_map = self.words(
                features, words, padding_mask=padding_mask, word_weights=word_weights
            )
            parts.append(context)
        if self.sentence:
            context, sentence_map = self.sentence(features, condition)
            parts.append(context)
        x = ops.concatenate(parts, axis=-1)
        if self.narrowing:
            x = self.narrowing(x)
        for block in self.residual_blocks:
            x = block(x, training=training)
        return self.up_block(x, training=training), word_map, sentence_map


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ImageHead(layers.Layer):
    """G0, G1, ..: features (B, s, s, any) to images (B, s, s, 3) in [-1, 1].

    The tanh is in full precision: half has too few steps near ±1.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = conv(3, 3, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.built = True

    def call(self, features):
        """(B, s, s, any) to (B, s, s, 3)."""
        return ops.tanh(full_precision(self.conv(features)))


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Glam(keras.Model):
    """Cascaded generator with word and sentence attention.

    Args:
        base_size: side of the first image in px, a power of 2 from 8 up.
        stages: number of images, each twice as big as the one before.
        width: ngf, channels of a stage's features.
        residual_blocks: of each later stage.
        noise_dim: length of z.
        condition_dim: D', length of s_ca.
        word_attention: False takes it out (ablation).
        sentence_attention: False takes it out (ablation; AttnGAN).
        inner_width: see `FirstStage`; None: width (paper).
        normalization: False has biases in place of the batch norms: for serving, see
            `models.folding`.

    Raises:
        ValueError: an argument is out of its range.

    Source: MirrorGAN, section 3.2, eq. 2 to 5.
    """

    def __init__(
        self,
        base_size: int = 64,
        stages: int = 3,
        width: int = 32,
        residual_blocks: int = 2,
        noise_dim: int = 100,
        condition_dim: int = 100,
        word_attention: bool = True,
        sentence_attention: bool = True,
        inner_width: int | None = None,
        normalization: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if base_size < 8 or base_size & (base_size - 1):
            raise ValueError(
                f"base_size={base_size}; expected a power of 2, at least 8"
            )
        if stages < 1:
            raise ValueError(f"stages={stages}; expected at least 1")
        self.base_size = base_size
        self.stages = stages
        self.width = width
        self.residual_blocks = residual_blocks
        self.noise_dim = noise_dim
        self.condition_dim = condition_dim
        self.word_attention = word_attention
        self.sentence_attention = sentence_attention
        self.inner_width = inner_width
        self.normalization = normalization
        policy = self.dtype_policy
        self.conditioning = ConditioningAugmentation(condition_dim, dtype=policy)
        self.first_stage = FirstStage(
            base_size, width, inner_width, normalization=normalization, dtype=policy
        )
        self.later_stages = [
            LaterStage(
                width,
                residual_blocks,
                word_attention=word_attention,
                sentence_attention=sentence_attention,
                normalization=normalization,
                dtype=policy,
            )
            for _ in range(stages - 1)
        ]
        self.image_heads = [ImageHead(dtype=policy) for _ in range(stages)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the images in px, ascending."""
        return tuple(self.base_size * 2**stage for stage in range(self.stages))

    def build(
        self, words_shape, sentence_shape, noise_shape=None, condition_noise_shape=None
    ):
        self.conditioning.build(sentence_shape)
        self.first_stage.build((None, self.condition_dim + self.noise_dim))
        for stage, size in zip(self.later_stages, self.sizes, strict=False):
            stage.build(
                (None, size, size, self.width), words_shape, (None, self.condition_dim)
            )
        for head, size in zip(self.image_heads, self.sizes, strict=True):
            head.build((None, size, size, self.width))
        self.built = True

    def call(
        self,
        words,
        sentence,
        noise,
        condition_noise,
        padding_mask=None,
        word_weights=None,
        training=False,
    ):
        """Generates images.

        Args:
            words: (B, L, D).
            sentence: (B, D).
            noise: (B, noise_dim), z from N(0, 1).
            condition_noise: (B, condition_dim) from N(0, 1).
            padding_mask: (B, L) bool, True = padded; None = all are words.
            word_weights: (B, L), replaces the mask, see `WordAttention`.
            training: batch statistics.

        Returns:
            dict: `images`, a list of (B, s, s, 3) in [-1, 1], ascending;
            `word_attention` and `sentence_attention`, lists with one map for each
            later stage, (B, h, w, L) and (B, h, w, width), empty if taken out;
            `mu`, `log_var`, `s_ca`, each (B, condition_dim).
        """
        s_ca, mu, log_var = self.conditioning(sentence, condition_noise)
        start = ops.concatenate([s_ca, ops.cast(noise, s_ca.dtype)], axis=-1)
        features = self.first_stage(start, training=training)
        images = [self.image_heads[0](features)]
        word_maps, sentence_maps = [], []
        for stage, head in zip(self.later_stages, self.image_heads[1:], strict=True):
            features, word_map, sentence_map = stage(
                features,
                words,
                s_ca,
                padding_mask=padding_mask,
                word_weights=word_weights,
                training=training,
            )
            images.append(head(features))
            word_maps.append(word_map)
            sentence_maps.append(sentence_map)
        return {
            "images": images,
            "word_attention": word_maps if self.word_attention else [],
            "sentence_attention": sentence_maps if self.sentence_attention else [],
            "mu": mu,
            "log_var": log_var,
            "s_ca": s_ca,
        }

    def get_config(self):
        return super().get_config() | {
            "base_size": self.base_size,
            "stages": self.stages,
            "width": self.width,
            "residual_blocks": self.residual_blocks,
            "noise_dim": self.noise_dim,
            "condition_dim": self.condition_dim,
            "word_attention": self.word_attention,
            "sentence_attention": self.sentence_attention,
            "inner_width": self.inner_width,
            "normalization": self.normalization,
        }
