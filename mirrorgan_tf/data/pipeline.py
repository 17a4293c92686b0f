"""Index to batches: a seeded tf.data pipeline that can start at any step.

Every training example has a global position p = step · batch_size + row. What it is
(which image, caption, words, crop, flip) depends only on (seed, p), so a run that
goes on at step k sees what it would have seen, whatever the number of threads.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.tokenizer import CaptionTokenizer, sample_words

__all__ = ["DecodedImages", "decode_images", "make_dataset"]

_CAPTIONS_AT_ONCE = 16_384
_ORDER, _AUGMENT, _WORDS = range(3)
_LoadImage = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedImages:
    """N images in memory, each resized for the crop but not cropped.

    Attributes:
        pixels: uint8, all images' pixels one after the other.
        starts: (N,) int64, where each image begins in `pixels`.
        shapes: (N, 2) int32, height and width.
        shorter_px: the shorter side of every image.
    """

    pixels: tf.Tensor
    starts: tf.Tensor
    shapes: tf.Tensor
    shorter_px: int

    def __call__(self, row: tf.Tensor) -> tf.Tensor:
        """The image of one row, (height, width, 3) uint8."""
        height, width = tf.unstack(self.shapes[row])
        size = height * width * 3
        flat = tf.slice(self.pixels, [self.starts[row]], [tf.cast(size, tf.int64)])
        return tf.reshape(flat, (height, width, 3))


def decode_images(index: CaptionedImages, size: int) -> DecodedImages:
    """Reads all images for crops of `size` px; share it between `make_dataset`s."""
    shorter_px = transforms.load_size(size)
    with tf.device("CPU:0"):
        dataset = tf.data.Dataset.from_tensor_slices(list(index.paths)).map(
            lambda path: _read_image(path, shorter_px), tf.data.AUTOTUNE
        )
        images = list(dataset.as_numpy_iterator())
        shapes = np.array([image.shape[:2] for image in images], np.int32)
        sizes = np.array([image.size for image in images], np.int64)
        return DecodedImages(
            pixels=tf.constant(np.concatenate([image.ravel() for image in images])),
            starts=tf.constant(np.cumsum(sizes) - sizes),
            shapes=tf.constant(shapes),
            shorter_px=shorter_px,
        )


def make_dataset(
    index: CaptionedImages,
    tokenizer: CaptionTokenizer,
    *,
    sizes: Sequence[int],
    batch_size: int,
    seed: int,
    training: bool,
    start_step: int = 0,
    max_words: int,
    flip: bool = True,
    cache: bool | DecodedImages = False,
    caption_index: int | Sequence[int] = 0,
) -> tf.data.Dataset:
    """Builds the dataset of batches.

    Training: endless; each epoch is a permutation, batches run across its borders;
    random crop, flip and caption, and a random subset of the words of a caption with
    more than `max_words` known ones. Otherwise: every image once, in order, centre
    crop, the first words; the last batch may be short.

    Args:
        index: the images and captions, N of them.
        tokenizer: captions to ids.
        sizes: sides of the images wanted, ascending; the last one is cropped.
        batch_size: B, the global batch.
        seed: from 0 to 2^31 - 1; unused when not training.
        training: see above.
        start_step: batches to leave out, at no cost.
        max_words: L.
        flip: training: mirror every second image; not where captions say left.
        cache: True keeps all decoded images in memory; a `DecodedImages` of the
            same index and last size is used as it is.
        caption_index: not training: which caption, for all images or for each one.

    Returns:
        Dictionaries: `images`, a tuple of (B, s, s, 3) float32 in [-1, 1], one per
        size, all reduced from one crop; `ids` (B, L) int32; `lengths` (B,) int32;
        `caption` (B,) string; `class_ids` (B,) int32; `index` (B,) int32, rows of
        `index`.

    Raises:
        ValueError: an argument is out of its range.
    """
    sizes = tuple(sizes)
    _check_arguments(index, sizes, batch_size, seed, start_step, max_words)
    if training:
        rows = _training_rows(len(index), seed, start_step * batch_size)
    else:
        rows = tf.data.Dataset.range(start_step * batch_size, len(index))
        rows = rows.map(lambda row: (row, row))
    with tf.device("CPU:0"):
        load = _image_loader(index, sizes[-1], cache)
        captions = _Captions.build(index, tokenizer)
        class_ids = tf.constant(index.class_ids)
        chosen = tf.constant(_check_caption_index(index, caption_index))

    def example(position, row):
        image, caption, ids = load(row), captions.starts[row] + chosen[row], None
        if training:
            draws = tf.random.stateless_uniform((4,), _seed(seed, _AUGMENT, position))
            image = transforms.random_crop(image, sizes[-1], draws[:2])
            if flip:
                image = transforms.flip(image, draws[2])
            caption = captions.pick(row, draws[3])
            ids = sample_words(
                captions.words(caption), max_words, _seed(seed, _WORDS, position)
            )
        else:
            image = transforms.center_crop(image, sizes[-1])
            ids = captions.words(caption)[:max_words]
        length = tf.shape(ids)[0]
        padded = tf.pad(ids, [[0, max_words - length]])
        return {
            "images": image,
            "ids": tf.ensure_shape(padded, (max_words,)),
            "lengths": length,
            "caption": captions.texts[caption],
            "class_ids": class_ids[row],
            "index": tf.cast(row, tf.int32),
        }

    def finish(batch):
        images = transforms.to_float(batch["images"])
        return batch | {"images": transforms.image_pyramid(images, sizes)}

    dataset = rows.map(example, tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=training)
    dataset = dataset.map(finish, tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


@dataclasses.dataclass(frozen=True, eq=False)
class _Captions:
    """All captions, tokenised once: image i has captions starts[i] to starts[i + 1]."""

    texts: tf.Tensor
    starts: tf.Tensor
    ids: tf.Tensor
    id_starts: tf.Tensor

    @classmethod
    def build(cls, index: CaptionedImages, tokenizer: CaptionTokenizer) -> "_Captions":
        texts = [caption for captions in index.captions for caption in captions]
        counts = [len(captions) for captions in index.captions]
        # In parts, for the memory that splitting takes.
        parts = [
            tokenizer.tokenize(texts[start : start + _CAPTIONS_AT_ONCE])
            for start in range(0, len(texts), _CAPTIONS_AT_ONCE)
        ]
        ids = tf.concat(parts, 0)
        return cls(
            texts=tf.constant(texts),
            starts=tf.constant(np.cumsum([0, *counts]), tf.int64),
            ids=tf.identity(ids.flat_values),
            id_starts=tf.identity(ids.row_splits),
        )

    def pick(self, row: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        """One of an image's captions; `draw` in [0, 1)."""
        start, end = self.starts[row], self.starts[row + 1]
        step = tf.cast(draw * tf.cast(end - start, tf.float32), tf.int64)
        return tf.minimum(start + step, end - 1)

    def words(self, caption: tf.Tensor) -> tf.Tensor:
        return self.ids[self.id_starts[caption] : self.id_starts[caption + 1]]


def _training_rows(count: int, seed: int, first: int) -> tf.data.Dataset:
    """Endless pairs (global position, row), from position `first` on."""

    def epoch_rows(epoch):
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(count, dtype=tf.int64), _seed(seed, _ORDER, epoch)
        )
        positions = epoch * count + tf.range(count, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((positions, rows))

    epochs = tf.data.Dataset.range(first // count, np.iinfo(np.int64).max // count)
    return epochs.flat_map(epoch_rows).skip(first % count)


def _seed(seed: int, stream: int, position: tf.Tensor) -> tf.Tensor:
    """Stateless seed (2,); each stream of draws has its own."""
    return tf.stack([tf.constant(stream << 32 | seed, tf.int64), position])


def _read_image(path: tf.Tensor, shorter_px: int) -> tf.Tensor:
    image = transforms.decode_image(tf.io.read_file(path))
    return transforms.resize_shorter_side(image, shorter_px)


def _image_loader(
    index: CaptionedImages, size: int, cache: bool | DecodedImages
) -> _LoadImage:
    shorter_px = transforms.load_size(size)
    if isinstance(cache, DecodedImages):
        if cache.shorter_px != shorter_px or len(cache.starts) != len(index):
            raise ValueError(
                f"cache: {len(cache.starts)} images of {cache.shorter_px} px; expected"
                f" {len(index)} of {shorter_px} px"
            )
        return cache
    if cache:
        return decode_images(index, size)
    paths = tf.constant(list(index.paths))
    return lambda row: _read_image(paths[row], shorter_px)


def _check_arguments(index, sizes, batch_size, seed, start_step, max_words) -> None:
    if not len(index):
        raise ValueError("index: no images; expected at least one")
    if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes={sizes}; expected rising sides in px")
    for name, value, low in (
        ("batch_size", batch_size, 1),
        ("start_step", start_step, 0),
        ("max_words", max_words, 1),
        ("seed", seed, 0),
    ):
        if value < low:
            raise ValueError(f"{name}={value}; expected at least {low}")
    if seed >= 2**31:
        raise ValueError(f"seed={seed}; expected less than 2^31")


def _check_caption_index(
    index: CaptionedImages, caption_index: int | Sequence[int]
) -> np.ndarray:
    """One caption number for each image, (N,) int64."""
    counts = np.array([len(captions) for captions in index.captions])
    chosen = np.broadcast_to(np.asarray(caption_index, np.int64), counts.shape)
    if ((chosen < 0) | (chosen >= counts)).any():
        row = int(np.argmax((chosen < 0) | (chosen >= counts)))
        raise ValueError(
            f"caption_index: {chosen[row]} for image {row}, which has {counts[row]}"
        )
    return chosen
