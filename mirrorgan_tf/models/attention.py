"""Attention of a feature map's positions: to words, and to the sentence."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.blocks import MASKED_LOGIT, dense, full_precision

__all__ = ["SentenceAttention", "WordAttention", "padding_mask_from_lengths"]


def padding_mask_from_lengths(lengths, max_words: int):
    """Marks the padded words.

    Args:
        lengths: (B,) integers, words of each caption.
        max_words: L.

    Returns:
        (B, L) bool, True = padded.
    """
    positions = ops.arange(max_words, dtype="int32")
    return positions[None, :] >= ops.cast(lengths, "int32")[:, None]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class WordAttention(layers.Layer):
    """Mixes, at each position, the words that match its features.

    Words are projected to the features' channels; softmax over the words of their
    inner products with the features; the context is the weighted sum of the
    projected words. The softmax is in full precision.

    Padded words get no attention, and a caption without words gives context 0.
    (The authors' code masks wrongly for batches above 1: AttnGAN issue 93.)

    Args:
        channels: of the features.

    Source: MirrorGAN, eq. 4.
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.projection = dense(channels, dtype=self.dtype_policy)

    def build(self, features_shape, words_shape):
        self.projection.build(words_shape)
        self.built = True

    def call(self, features, words, padding_mask=None, word_weights=None):
        """Attends to words.

        Args:
            features: (B, h, w, channels).
            words: (B, L, D).
            padding_mask: (B, L) bool, True = padded; None = all are words.
            word_weights: (B, L), at least 0; replaces the mask: a word of weight 2
                counts like two such words, one of weight 0 not at all.

        Returns:
            context (B, h, w, channels) and attention (B, h, w, L).
        """
        _, height, width, channels = features.shape
        words = self.projection(words)
        positions = ops.reshape(features, (-1, height * width, channels))
        logits = full_precision(ops.matmul(positions, ops.transpose(words, (0, 2, 1))))
        if word_weights is not None:
            word_weights = full_precision(word_weights)[:, None, :]
            padding_mask = word_weights[:, 0] <= 0
            logits += ops.log(ops.maximum(word_weights, 1e-30))
        padded = None
        if padding_mask is not None:
            padded = ops.cast(padding_mask, "bool")[:, None, :]
            # (B, 1, L): a mask for all positions would cost more, in gradients too.
            logits += ops.where(padded, ops.cast(MASKED_LOGIT, logits.dtype), 0.0)
            # Where all words are padded the softmax is uniform: make the context 0,
            # and the attention below.
            words = ops.where(ops.transpose(padded, (0, 2, 1)), 0.0, words)
        attention = ops.softmax(logits, axis=-1)
        context = ops.matmul(ops.cast(attention, words.dtype), words)
        if padded is not None:
            attention = ops.where(padded, 0.0, attention)
        return (
            ops.reshape(context, (-1, height, width, channels)),
            ops.reshape(attention, (-1, height, width, words.shape[1])),
        )


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class SentenceAttention(layers.Layer):
    """Weights, at each position, the channels of the projected sentence.

    attention = softmax over channels of a 1×1 projection of (features · v), where
    v is the projected s_ca; the context is v · attention. The softmax is in full
    precision.

    Args:
        channels: of the features.

    Source: the authors' code; the paper's eq. 5 has no 1×1 projection.
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.projection = dense(channels, use_bias=True, dtype=self.dtype_policy)
        self.mixing = dense(channels, dtype=self.dtype_policy)

    def build(self, features_shape, condition_shape):
        self.projection.build(condition_shape)
        self.mixing.build((None, None, None, self.channels))
        self.built = True

    def call(self, features, condition):
        """Attends to the sentence.

        Args:
            features: (B, h, w, channels).
            condition: (B, D'), s_ca.

        Returns:
            context and attention, each (B, h, w, channels).
        """
        sentence = self.projection(condition)[:, None, None, :]
        logits = full_precision(self.mixing(features * sentence))
        attention = ops.softmax(logits, axis=-1)
        return sentence * ops.cast(attention, sentence.dtype), attention
