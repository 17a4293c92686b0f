"""From a place in the order to an example, and from places to a batch, in the graph."""

import dataclasses

import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.bad_examples import BadExamples, first_good
from mirrorgan_tf.data.captions import TokenizedCaptions
from mirrorgan_tf.data.images import DecodedImages, ImageFiles
from mirrorgan_tf.text.tokenizer import sample_words

__all__ = ["EvaluationExamples", "TrainingExamples", "make_batch", "stateless_seed"]

_AUGMENT, _WORDS, _REPLACE, _MORE_WORDS = 1, 2, 3, 4
# Bad images in a row that are put up with; of at most 1 % bad ones.
_ATTEMPTS = 8

Example = dict[str, tf.Tensor]


def stateless_seed(seed: int, stream: int, position: tf.Tensor) -> tf.Tensor:
    """Stateless seed (2,); each stream of draws has its own."""
    return tf.stack([tf.constant(stream << 32 | seed, tf.int64), position])


@dataclasses.dataclass(frozen=True, eq=False)
class _Examples:
    """What examples are made of.

    Attributes:
        images: of the index.
        captions: of the index.
        class_ids: (N,) int32.
        bad_examples: is told of images that fail.
        size: side of the crops in px.
        max_words: L.
    """

    images: ImageFiles | DecodedImages
    captions: TokenizedCaptions
    class_ids: tf.Tensor
    bad_examples: BadExamples
    size: int
    max_words: int

    def _crop(self, row, corner, mirrored):
        shape = (self.size, self.size)
        image = self.images.load(row, lambda whole: (corner(whole), shape), mirrored)
        return tf.ensure_shape(image, (*shape, 3))

    def _first_good(self, rows, attempts, crop):
        blank = tf.zeros((self.size, self.size, 3), tf.uint8)
        failed, image = first_good(lambda number: crop(rows[number]), attempts, blank)
        return failed, tf.ensure_shape(image, blank.shape)

    def _example(self, row, image, captions, words):
        """An example of one image.

        Args:
            row: of the index.
            image: cropped.
            captions: numbers of its k captions.
            words: the ids of each caption, at most `max_words`.
        """
        ids, lengths = zip(*map(self._padded, words), strict=True)
        return {
            "images": image,
            "captions": tf.stack([self.captions.texts[i] for i in captions]),
            "caption_ids": tf.stack(ids),
            "caption_lengths": tf.stack(lengths),
            "class_ids": self.class_ids[row],
            "index": tf.cast(row, tf.int32),
        }

    def _padded(self, ids):
        length = tf.shape(ids)[0]
        padded = tf.pad(ids, [[0, self.max_words - length]])
        return tf.ensure_shape(padded, (self.max_words,)), length


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingExamples(_Examples):
    """Random crop, flip, caption and words, all drawn from (seed, position).

    Attributes:
        seed: of all draws.
        flip: mirror every second image.
        captions_each: k, captions of an example: the one drawn and those after it.
    """

    seed: int
    flip: bool
    captions_each: int = 1

    def quick(self, position: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises if its image is bad."""
        draws = self._draw(position)
        return self._drawn(position, row, draws, self._random_crop(row, draws))

    def careful(self, position: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """The same; others are drawn in the place of a bad image. True with it."""
        draws = self._draw(position)
        others = tf.random.stateless_uniform(
            (_ATTEMPTS - 1,),
            stateless_seed(self.seed, _REPLACE, position),
            maxval=len(self.captions),
            dtype=tf.int64,
        )
        rows = tf.concat([[row], others], 0)
        failed, image = self._first_good(
            rows, _ATTEMPTS, lambda row: self._random_crop(row, draws)
        )
        # Raises where all have failed.
        self.bad_examples.report_in_graph(
            rows[:failed], exhausted=tf.equal(failed, _ATTEMPTS)
        )
        row = rows[tf.minimum(failed, _ATTEMPTS - 1)]
        return self._drawn(position, row, draws, image), tf.constant(True)

    def _draw(self, position):
        return tf.random.stateless_uniform(
            (4,), stateless_seed(self.seed, _AUGMENT, position)
        )

    def _random_crop(self, row, draws):
        def corner(whole):
            return transforms.random_corner(whole, self.size, draws[:2])

        return self._crop(row, corner, self.flip & (draws[2] < 0.5))

    def _drawn(self, position, row, draws, image):
        drawn = self.captions.pick(row, draws[3])
        captions = [drawn] + [
            self.captions.after(row, drawn, places)
            for places in range(1, self.captions_each)
        ]
        # Each caption has a random stream of its own.
        streams = [_WORDS, *range(_MORE_WORDS + 1, _MORE_WORDS + self.captions_each)]
        words = [
            self._some_words(caption, stream, position)
            for caption, stream in zip(captions, streams, strict=True)
        ]
        return self._example(row, image, captions, words)

    def _some_words(self, caption, stream, position):
        return sample_words(
            self.captions.words(caption),
            self.max_words,
            stateless_seed(self.seed, stream, position),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationExamples(_Examples):
    """The middle of an image and the first words of a chosen caption.

    Attributes:
        chosen: (N,) int64, which caption of each image.
    """

    chosen: tf.Tensor

    def quick(self, _: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises if its image is bad."""
        return self._looked_up(row, self._middle(row))

    def careful(self, _: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """The same, and whether its image is good."""
        failed, image = self._first_good(row[tf.newaxis], 1, self._middle)
        self.bad_examples.report_in_graph(
            tf.repeat(row, failed), exhausted=tf.constant(False)
        )
        return self._looked_up(row, image), tf.equal(failed, 0)

    def _middle(self, row):
        return self._crop(
            row, lambda whole: transforms.center_corner(whole, self.size), False
        )

    def _looked_up(self, row, image):
        caption = self.captions.starts[row] + self.chosen[row]
        ids = self.captions.words(caption)[: self.max_words]
        return self._example(row, image, [caption], [ids])


@tf.autograph.experimental.do_not_convert
def make_batch(
    positions: tf.Tensor,
    rows: tf.Tensor,
    examples: TrainingExamples | EvaluationExamples,
) -> Example:
    """A batch, in the graph.

    Catching an error takes a dataset in the dataset. One a batch costs nothing to
    speak of, one an example a fifth of all the time: only a batch in which something
    failed is made again, with care. AutoGraph would take seconds.

    Args:
        positions: (n,) int64.
        rows: (n,) int64, of the index.
        examples: makes them.

    Returns:
        The examples that are good, stacked.
    """
    pairs = tf.data.Dataset.from_tensor_slices((positions, rows))
    tried = pairs.map(examples.quick, tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # Cores are kept busy by examples; a product shared out among them waits for them.
    options.threading.max_intra_op_parallelism = 1
    batch = _stack(tried.ignore_errors().with_options(options))

    def again():
        cared = pairs.map(examples.careful).filter(lambda _, good: good)
        return _stack(cared.map(lambda example, _: example))

    batch = tf.cond(tf.size(batch["index"]) == tf.size(rows), lambda: batch, again)
    size = rows.shape[0]
    return tf.nest.map_structure(
        lambda values: tf.ensure_shape(values, (size, *values.shape[1:])), batch
    )


def _stack(examples: tf.data.Dataset) -> Example:
    """All examples, 0 or more, as one batch."""
    none = tf.nest.map_structure(
        lambda spec: tf.zeros((0, *spec.shape), spec.dtype), examples.element_spec
    )
    stacked = examples.batch(tf.int64.max)
    none = tf.data.Dataset.from_tensors(none)
    return stacked.concatenate(none).take(1).get_single_element()
