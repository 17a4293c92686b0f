"""All captions of an index as word ids, made once and held as four tensors."""

import dataclasses

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["TokenizedCaptions", "tokenize_captions"]

_AT_ONCE = 16_384


@dataclasses.dataclass(frozen=True, eq=False)
class TokenizedCaptions:
    """Image i of N has captions starts[i] to starts[i + 1].

    Attributes:
        texts: (C,) string.
        starts: (N + 1,) int64.
        ids: int32, all captions' known words one after the other.
        id_starts: (C + 1,) int64, where each caption begins in `ids`.
    """

    texts: tf.Tensor
    starts: tf.Tensor
    ids: tf.Tensor
    id_starts: tf.Tensor

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pick(self, row: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        """One of an image's captions, as its number; `draw` in [0, 1)."""
        start, end = self.starts[row], self.starts[row + 1]
        step = tf.cast(draw * tf.cast(end - start, tf.float32), tf.int64)
        return tf.minimum(start + step, end - 1)

    def after(self, row: tf.Tensor, caption: tf.Tensor, places: int) -> tf.Tensor:
        """The caption so many places after one of image `row`, round its captions."""
        start, end = self.starts[row], self.starts[row + 1]
        return start + (caption - start + places) % (end - start)

    def words(self, caption: tf.Tensor) -> tf.Tensor:
        """The ids of one caption, (words,) int32."""
        return self.ids[self.id_starts[caption] : self.id_starts[caption + 1]]


def tokenize_captions(
    index: CaptionedImages, tokenizer: CaptionTokenizer
) -> TokenizedCaptions:
    """Splits and looks up every caption; COCO's 414,113 take some seconds.

    Share the result between the `make_dataset`s of one index.
    """
    texts = [caption for captions in index.captions for caption in captions]
    counts = [len(captions) for captions in index.captions]
    with tf.device("CPU:0"):
        # In parts, for the memory that splitting takes.
        parts = [
            tokenizer.tokenize(texts[start : start + _AT_ONCE])
            for start in range(0, len(texts), _AT_ONCE)
        ]
        ids = tf.concat(parts, 0)
        return TokenizedCaptions(
            texts=tf.constant(texts),
            starts=tf.constant(np.cumsum([0, *counts]), tf.int64),
            ids=tf.identity(ids.flat_values),
            id_starts=tf.identity(ids.row_splits),
        )
