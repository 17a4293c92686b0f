"""Turns captions into word ids, in training and serving."""

import os

import keras
import keras_nlp
import numpy as np
import tensorflow as tf

from mirrorgan_tf.text.splitting import split_all, split_words
from mirrorgan_tf.text.vocabulary import Vocabulary

__all__ = ["CaptionTokenizer", "sample_words"]

_ASSET = "vocabulary.txt"


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class CaptionTokenizer(keras_nlp.tokenizers.Tokenizer):
    """Turns captions into word ids, padded with 0 to a fixed length.

    `split_words` splits the captions. Words that are not in the vocabulary are dropped:
    there is no id for unknown words. A caption without a known word is valid and has
    length 0.

    The lookup table is made of tensors, not of a file, so that a SavedModel that tracks
    this object contains the vocabulary.

    Args:
        vocabulary: the known words; None if `load_assets` will read them.
        max_words: L, the number of ids of a caption.

    Raises:
        ValueError: max_words is below 1, or the object is used without a vocabulary.
    """

    def __init__(
        self, vocabulary: Vocabulary | None = None, max_words: int = 18, **kwargs
    ) -> None:
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)
        if max_words < 1:
            raise ValueError(f"max_words={max_words}; expected at least 1")
        self.max_words = max_words
        self.file_assets = [_ASSET]
        self._vocabulary = None
        if vocabulary is not None:
            self._set_vocabulary(vocabulary)

    def call(self, captions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the ids of the first L known words of captions, padded with 0.

        Args:
            captions: string (B,) or (), UTF-8; other bytes are allowed.

        Returns:
            ids (B, L) int32 and lengths (B,) int32; (L,) and () for a single string.
        """
        ids = self.tokenize(captions)
        if not isinstance(ids, tf.RaggedTensor):
            rows, lengths = self.pad(ids[tf.newaxis])
            return rows[0], lengths[0]
        return self.pad(ids)

    def pad(self, ids: tf.Tensor | tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids (B, any) without zeros to ids (B, L) and lengths (B,), both int32."""
        ids = tf.RaggedTensor.from_tensor(ids) if isinstance(ids, tf.Tensor) else ids
        lengths = tf.minimum(ids.row_lengths(), self.max_words)
        return ids.to_tensor(shape=(None, self.max_words)), tf.cast(lengths, tf.int32)

    def tokenize(self, captions: tf.Tensor) -> tf.Tensor | tf.RaggedTensor:
        """Returns the ids of all known words: ragged int32 (B, words).

        A single string gives a dense tensor (words,). A list of Python strings gives
        the same ids as a tensor, several times as fast.
        """
        self._check_vocabulary()
        if isinstance(captions, list):
            return self._tokenize_list(captions)
        captions = tf.convert_to_tensor(captions, tf.string)
        words = split_words(captions)
        if not isinstance(words, tf.RaggedTensor):
            ids = self._table.lookup(words)
            return tf.boolean_mask(ids, ids > 0)
        ids = words.with_flat_values(self._table.lookup(words.flat_values))
        return tf.ragged.boolean_mask(ids, ids > 0)

    def _tokenize_list(self, captions: list[str | bytes]) -> tf.RaggedTensor:
        words, counts = split_all(captions)
        ids = self._vocabulary.ids(words)
        known_before = np.append(0, np.cumsum(ids > 0))
        splits = known_before[np.append(0, np.cumsum(counts, dtype=np.int64))]
        return tf.RaggedTensor.from_row_splits(ids[ids > 0], splits, validate=False)

    def detokenize(self, ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
        """Returns the words of ids up to the first 0, joined by spaces.

        Args:
            ids: integers (..., words), dense or ragged, each from 0 to the number of
                words.

        Returns:
            string (...).
        """
        self._check_vocabulary()
        if isinstance(ids, tf.RaggedTensor):
            ids = ids.to_tensor()
        ids = tf.convert_to_tensor(ids)
        before_end = tf.math.cumprod(tf.cast(ids > 0, ids.dtype), axis=-1)
        words = tf.gather(self._words, ids * before_end)
        # The word of padding is empty, so that joining adds spaces at the end.
        return tf.strings.strip(tf.strings.reduce_join(words, -1, separator=" "))

    def get_vocabulary(self) -> list[str]:
        """The word of every id; id 0, padding, is the empty string."""
        return ["", *self.vocabulary.words]

    def vocabulary_size(self) -> int:
        """Number of ids, with 0: the rows of an embedding table."""
        return len(self.vocabulary) + 1

    def id_to_token(self, id: int) -> str:
        """The word of an id, '' for 0; ValueError for an id out of range."""
        return "" if id == 0 else self.vocabulary.word(id)

    def token_to_id(self, token: str) -> int:
        """The id of a word, 0 for ''; ValueError for an unknown word."""
        return 0 if token == "" else self.vocabulary.id(token)

    @property
    def vocabulary(self) -> Vocabulary:
        """The known words."""
        self._check_vocabulary()
        return self._vocabulary

    def save_assets(self, dir_path: str) -> None:
        """Writes the vocabulary into an existing folder."""
        self.vocabulary.save(os.path.join(dir_path, _ASSET))

    def load_assets(self, dir_path: str) -> None:
        """Reads the vocabulary that `save_assets` wrote."""
        self._set_vocabulary(Vocabulary.load(os.path.join(dir_path, _ASSET)))

    def get_config(self) -> dict:
        """Constructor arguments; `save_assets` saves the vocabulary."""
        return super().get_config() | {"vocabulary": None, "max_words": self.max_words}

    def _set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        # Created eagerly even while a graph is traced, because other graphs use them.
        with tf.init_scope():
            self._words = tf.constant(["", *vocabulary.words])
            initializer = tf.lookup.KeyValueTensorInitializer(
                self._words, tf.range(len(vocabulary) + 1)
            )
            self._table = tf.lookup.StaticHashTable(initializer, default_value=0)

    def _check_vocabulary(self) -> None:
        if self._vocabulary is None:
            raise ValueError(
                "vocabulary=None; expected a Vocabulary, or load_assets before use"
            )


def sample_words(ids: tf.Tensor, max_words: int, seed: tf.Tensor) -> tf.Tensor:
    """Keeps a random subset of at most `max_words` ids, in their order.

    Args:
        ids: (words,) integers, not padded.
        max_words: L, the most to keep.
        seed: (2,) int32 or int64, stateless seed.

    Returns:
        (min(words, L),) ids; each subset of L words is equally likely.

    Source: the authors' training data, captions longer than L.
    """
    priorities = tf.random.stateless_uniform(tf.shape(ids), seed)
    chosen = tf.argsort(priorities, stable=True)[:max_words]
    return tf.gather(ids, tf.sort(chosen))
