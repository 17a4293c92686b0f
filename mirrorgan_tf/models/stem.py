"""STEM: captions to word and sentence embeddings."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.blocks import recurrent_policy
from mirrorgan_tf.models.text_encoder import TextEncoder

__all__ = ["Stem"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Stem(TextEncoder):
    """Text encoder: word vectors through a bidirectional LSTM.

    Args:
        vocabulary_size: rows of the embedding, id 0 included.
        embedding_dim: length of a word vector.
        words_dim: D, half of it for each direction.
        dropout: share of the word vectors' elements that training drops.

    Raises:
        ValueError: words_dim is odd.

    Source: MirrorGAN, section 3.1; AttnGAN's text encoder.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 300,
        words_dim: int = 256,
        dropout: float = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if words_dim % 2:
            raise ValueError(f"words_dim={words_dim}; expected an even number")
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.words_dim = words_dim
        self.dropout = dropout
        self.embedding = layers.Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
            dtype=self.dtype_policy,
        )
        self.forward_lstm = self._lstm(go_backwards=False)
        self.backward_lstm = self._lstm(go_backwards=True)

    def _lstm(self, *, go_backwards):
        return layers.LSTM(
            self.words_dim // 2,
            return_sequences=True,
            return_state=True,
            go_backwards=go_backwards,
            # cuDNN fails on captions without words, and XLA has no cuDNN LSTM.
            use_cudnn=False,
            dtype=recurrent_policy(self.dtype_policy),
        )

    def build(self, ids_shape, lengths_shape=None):
        self.embedding.build((None, None))
        for lstm in (self.forward_lstm, self.backward_lstm):
            lstm.build((None, ids_shape[-1], self.embedding_dim))
        self.built = True

    def call(self, ids, lengths, dropout_uniform=None):
        """Encodes captions.

        Args:
            ids: (B, L) int32; any valid ids may follow a caption's end.
            lengths: (B,) int32, words of each caption, 0 to L.
            dropout_uniform: (B, L, embedding_dim) uniform in [0, 1), for inverted
                dropout of the word vectors; None = no dropout.

        Returns:
            words (B, L, D), 0 past the caption's end, sentence (B, D): the final
            hidden states, forward then backward, 0 for an empty caption, and
            padding_mask (B, L) bool, True = padded.
        """
        vectors = self.embedding(ids)
        if dropout_uniform is not None:
            kept = ops.cast(dropout_uniform >= self.dropout, vectors.dtype)
            vectors = vectors * kept / (1.0 - self.dropout)
        padding_mask = padding_mask_from_lengths(lengths, ids.shape[1])
        is_word = ops.logical_not(padding_mask)
        forward, last, _ = self.forward_lstm(vectors, mask=is_word)
        backward, first, _ = self.backward_lstm(vectors, mask=is_word)
        words = ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)
        words = words * ops.cast(is_word, words.dtype)[:, :, None]
        return words, ops.concatenate([last, first], axis=-1), padding_mask

    def dropout_shape(self, text):
        """(B, L, embedding_dim): each number of a word vector is dropped by itself."""
        return (*text["ids"].shape, self.embedding_dim)

    def get_config(self):
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "words_dim": self.words_dim,
            "dropout": self.dropout,
        }
