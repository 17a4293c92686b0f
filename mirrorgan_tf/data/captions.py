"""Tokenizes all captions of an index once, and keeps their word ids in memory."""

import dataclasses

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["TokenizedCaptions", "tokenize_captions"]

_CAPTIONS_AT_ONCE = 16_384


@dataclasses.dataclass(frozen=True, eq=False)
class TokenizedCaptions:
    """The C captions of N images. Image i has captions starts[i] to starts[i + 1].

    Attributes:
        texts: (C,) string.
        starts: (N + 1,) int64.
        ids: int32, the concatenated ids of the known words of all captions.
        id_starts: (C + 1,) int64, position in `ids` at which each caption begins.
    """

    texts: tf.Tensor
    starts: tf.Tensor
    ids: tf.Tensor
    id_starts: tf.Tensor

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pick(self, row: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """The number of a caption of image `row`, chosen by a number in [0, 1)."""
        start, end = self.starts[row], self.starts[row + 1]
        step = tf.cast(uniform * tf.cast(end - start, tf.float32), tf.int64)
        return tf.minimum(start + step, end - 1)

    def after(self, row: tf.Tensor, caption: tf.Tensor, places: int) -> tf.Tensor:
        """The caption `places` after another; after an image's last comes its first."""
        start, end = self.starts[row], self.starts[row + 1]
        return start + (caption - start + places) % (end - start)

    def words(self, caption: tf.Tensor) -> tf.Tensor:
        """The ids of one caption, (words,) int32."""
        return self.ids[self.id_starts[caption] : self.id_starts[caption + 1]]


def tokenize_captions(
    index: CaptionedImages, tokenizer: CaptionTokenizer
) -> TokenizedCaptions:
    """Tokenizes every caption; COCO's 414,113 take a few seconds.

    The calls of `make_dataset` for one index can share the result.
    """
    texts = [caption for captions in index.captions for caption in captions]
    counts = [len(captions) for captions in index.captions]
    with tf.device("CPU:0"):
        # Splitting all captions at once would take much memory.
        parts = [
            tokenizer.tokenize(texts[start : start + _CAPTIONS_AT_ONCE])
            for start in range(0, len(texts), _CAPTIONS_AT_ONCE)
        ]
        ids = tf.concat(parts, 0)
        return TokenizedCaptions(
            texts=tf.constant(texts),
            starts=tf.constant(np.cumsum([0, *counts]), tf.int64),
            ids=tf.identity(ids.flat_values),
            id_starts=tf.identity(ids.row_splits),
        )
