"""Makes batches of an index: a seeded tf.data pipeline that can start at any step.

Every training example has a global position p = step · batch_size + row. Its image,
caption, words, crop and flip depend only on (seed, p). So a run that resumes at step k
gets the same examples, with any number of threads, and each of several workers makes
only its rows of the same global batches. An image that can't be read is replaced by
another one, which depends only on (seed, p) too.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.bad_examples import BadExamples
from mirrorgan_tf.data.captions import TokenizedCaptions, tokenize_captions
from mirrorgan_tf.data.examples import (
    EvaluationExamples,
    TrainingExamples,
    make_batch,
    stateless_seed,
)
from mirrorgan_tf.data.images import DecodedImages, ImageFiles
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["make_dataset"]

# A stream of random numbers that examples do not use.
_ORDER = 0
# The examples of a batch are made in parallel. A second batch keeps all cores busy
# during the last examples of the first.
_PARALLEL_BATCHES = 2


def make_dataset(
    index: CaptionedImages,
    tokenizer: CaptionTokenizer | TokenizedCaptions,
    *,
    sizes: Sequence[int],
    batch_size: int,
    seed: int,
    training: bool,
    start_step: int = 0,
    max_words: int,
    flip: bool = True,
    cache: DecodedImages | None = None,
    captions_each: int = 1,
    bad_examples: BadExamples | None = None,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Builds the dataset of batches.

    For training, the dataset is endless. Each epoch is a permutation of the images, and
    a batch may contain the end of one epoch and the start of the next. Crop, flip and
    caption are random; of a caption with more than `max_words` known words a random
    subset is used.

    For evaluation, it has every image once, in order, with a centre crop and the first
    words of the first caption. The last batch may be smaller. Bad images are left out
    if the policy is "skip".

    Args:
        index: the N images and their captions.
        tokenizer: turns captions into ids; or the result of `tokenize_captions`, which
            several datasets of one index can share.
        sizes: sides of the images in px, ascending; the last one is cropped.
        batch_size: B, the global batch size.
        seed: from 0 to 2^31 - 1; not used for evaluation.
        training: see above.
        start_step: number of batches to skip, without making them.
        max_words: L.
        flip: for training: mirror every second image at random. False is for captions
            that say left or right.
        cache: decoded images of the same index and last size; None: read the files in
            each epoch.
        captions_each: for training: k, captions of each image. The first is random, the
            others are the next ones of the image; the first caption follows the last.
        bad_examples: handles images that can't be read; None: fail at the first.
        input_context: for a worker that makes only its rows of each global batch.

    Returns:
        Dictionaries of B images with k captions each:

        - `images`: a tuple of (B, s, s, 3) float32 in [-1, 1], one per size, all
          reduced from one crop;
        - `captions` (B, k) string;
        - `caption_ids` (B, k, L) int32 and `caption_lengths` (B, k) int32: the words
          that STREAM learns to write;
        - `class_ids` (B,) int32;
        - `index` (B,) int32, rows of `index`.

    Raises:
        ValueError: `cache` or `tokenizer` is of another index or size, or workers can't
            share a batch equally.
        tf.errors.OpError: when run, if an image is bad and the policy is "fail", or too
            many are bad; `data_errors` turns it into a `UserError`.
    """
    sizes = tuple(sizes)
    first = start_step * batch_size
    if training:
        rows = _training_rows(len(index), seed, first)
    else:
        rows = tf.data.Dataset.range(first, len(index)).map(lambda row: (row, row))
    if input_context is not None:
        rows, batch_size = _rows_of_worker(rows, batch_size, input_context)
    bad_examples = bad_examples or BadExamples(index)
    with tf.device("CPU:0"):
        shared = {
            "images": _open_images(index, sizes[-1], cache),
            "captions": _open_captions(index, tokenizer),
            "class_ids": tf.constant(index.class_ids),
            "bad_examples": bad_examples,
            "size": sizes[-1],
            "max_words": max_words,
        }
    if training:
        examples = TrainingExamples(
            **shared, seed=seed, flip=flip, captions_each=captions_each
        )
    else:
        examples = EvaluationExamples(**shared)

    @tf.autograph.experimental.do_not_convert
    def finish(batch):
        images = transforms.to_float(batch["images"])
        return batch | {"images": transforms.image_pyramid(images, sizes)}

    dataset = rows.batch(batch_size, drop_remainder=training).map(
        functools.partial(make_batch, examples=examples),
        _PARALLEL_BATCHES,
        deterministic=True,
    )
    if not training:
        # All images of a batch may be bad.
        dataset = dataset.filter(lambda batch: tf.size(batch["index"]) > 0)
    dataset = dataset.map(finish, tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    # Waiting for the autotuner's thread can delay the end of an iterator by a minute.
    options.autotune.enabled = False
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _training_rows(count: int, seed: int, first: int) -> tf.data.Dataset:
    """Endless pairs (global position, row) from the global position `first` on."""

    def epoch_rows(epoch):
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(count, dtype=tf.int64), stateless_seed(seed, _ORDER, epoch)
        )
        positions = epoch * count + tf.range(count, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((positions, rows))

    epochs = tf.data.Dataset.range(first // count, np.iinfo(np.int64).max // count)
    return epochs.flat_map(epoch_rows).skip(first % count)


def _rows_of_worker(
    rows: tf.data.Dataset, batch_size: int, context: tf.distribute.InputContext
) -> tuple[tf.data.Dataset, int]:
    """The rows of every global batch that a worker makes, and their number."""
    workers, worker = context.num_input_pipelines, context.input_pipeline_id
    if batch_size % workers:
        raise ValueError(
            f"batch_size={batch_size}; expected a multiple of the {workers} workers"
        )
    part = batch_size // workers

    def is_of_worker(position, _):
        return tf.equal(position % batch_size // part, worker)

    return rows.filter(is_of_worker), part


def _open_images(
    index: CaptionedImages, size: int, cache: DecodedImages | None
) -> ImageFiles | DecodedImages:
    if cache is None:
        return ImageFiles(index, size)
    shorter_px = transforms.load_size(size)
    if cache.shorter_px != shorter_px or len(cache.starts) != len(index):
        raise ValueError(
            f"cache: {len(cache.starts)} images of {cache.shorter_px} px; expected"
            f" {len(index)} of {shorter_px} px"
        )
    return cache


def _open_captions(
    index: CaptionedImages, tokenizer: CaptionTokenizer | TokenizedCaptions
) -> TokenizedCaptions:
    if not isinstance(tokenizer, TokenizedCaptions):
        return tokenize_captions(index, tokenizer)
    if len(tokenizer) != len(index):
        raise ValueError(
            f"tokenizer: captions of {len(tokenizer)} images; expected {len(index)}"
        )
    return tokenizer
