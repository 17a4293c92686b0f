"""A second text encoder, as a contributor would write it."""

import keras
import tensorflow as tf
from keras import layers, ops

from mirrorgan_tf.models.text_encoder import TextEncoder

TOKENS = 8
HASH_BUCKETS = 50


@keras.saving.register_keras_serializable(package="mirrorgan_tf_tests")
class MeanWords(TextEncoder):
    """Projected word vectors; the sentence is their mean.

    With tokens of its own: hashes of all words, in the vocabulary or not.
    """

    def __init__(self, vocabulary_size, *, embedding_dim, words_dim, dropout, **kwargs):
        super().__init__(**kwargs)
        self.dropout = dropout
        self.embedding = layers.Embedding(HASH_BUCKETS + 1, embedding_dim)
        self.projection = layers.Dense(words_dim)

    @staticmethod
    def text_inputs(captions, caption_ids, caption_lengths):
        """Tokens (B, TOKENS), 0 past the caption's end."""
        words = tf.strings.split(captions)
        tokens = tf.strings.to_hash_bucket_fast(words, HASH_BUCKETS) + 1
        return {"tokens": tf.cast(tokens, tf.int32).to_tensor(shape=(None, TOKENS))}

    def dropout_shape(self, text):
        """One number for each number of a word vector."""
        return (*text["tokens"].shape, self.embedding.output_dim)

    def call(self, tokens, dropout_uniform=None):
        """See `TextEncoder`."""
        padding_mask = ops.equal(tokens, 0)
        vectors = self.embedding(tokens)
        if dropout_uniform is not None:
            kept = ops.cast(dropout_uniform >= self.dropout, vectors.dtype)
            vectors = vectors * kept / (1.0 - self.dropout)
        true_words = ops.cast(~padding_mask, vectors.dtype)[..., None]
        words = self.projection(vectors) * true_words
        count = ops.maximum(ops.sum(true_words, axis=1), 1.0)
        return words, ops.sum(words, axis=1) / count, padding_mask
