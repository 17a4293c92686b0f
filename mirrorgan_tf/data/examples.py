"""Examples of one image and its captions, and batches of them, in the graph."""

import dataclasses

import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.bad_examples import BadExamples, first_good
from mirrorgan_tf.data.captions import TokenizedCaptions
from mirrorgan_tf.data.images import DecodedImages, ImageFiles
from mirrorgan_tf.text.tokenizer import sample_words

__all__ = ["EvaluationExamples", "TrainingExamples", "make_batch", "stateless_seed"]

# Streams of random numbers.
_AUGMENT, _WORDS, _REPLACE, _MORE_WORDS = 1, 2, 3, 4
# Images that are tried in the place of a bad one; at most 1 % of all may be bad.
_ATTEMPTS = 8

Example = dict[str, tf.Tensor]


def stateless_seed(seed: int, stream: int, position: tf.Tensor) -> tf.Tensor:
    """Stateless seed (2,) for one purpose, `stream`, at one position in the order."""
    return tf.stack([tf.constant(stream << 32 | seed, tf.int64), position])


@dataclasses.dataclass(frozen=True, eq=False)
class _Examples:
    """The parts of an example that training and evaluation share."""

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
        """An example of one image with k captions and the ids of their words."""
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
    """Random crop, flip, caption and words, which depend on (seed, position) alone.

    Attributes:
        seed: of all random numbers.
        flip: mirror every second image.
        captions_each: k, captions of an example: a random one and those after it.
    """

    seed: int
    flip: bool
    captions_each: int = 1

    def quick(self, position: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises if its image is bad."""
        random_numbers = self._random_numbers(position)
        return self._assemble(
            position, row, random_numbers, self._random_crop(row, random_numbers)
        )

    def careful(self, position: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """The same, but random other images replace a bad one; and True."""
        random_numbers = self._random_numbers(position)
        replacements = tf.random.stateless_uniform(
            (_ATTEMPTS - 1,),
            stateless_seed(self.seed, _REPLACE, position),
            maxval=len(self.captions),
            dtype=tf.int64,
        )
        rows = tf.concat([[row], replacements], 0)
        failed, image = self._first_good(
            rows, _ATTEMPTS, lambda row: self._random_crop(row, random_numbers)
        )
        # This raises an error if all of them failed.
        self.bad_examples.report_in_graph(
            rows[:failed], exhausted=tf.equal(failed, _ATTEMPTS)
        )
        row = rows[tf.minimum(failed, _ATTEMPTS - 1)]
        return self._assemble(position, row, random_numbers, image), tf.constant(True)

    def _random_numbers(self, position):
        return tf.random.stateless_uniform(
            (4,), stateless_seed(self.seed, _AUGMENT, position)
        )

    def _random_crop(self, row, random_numbers):
        def corner(whole):
            return transforms.random_corner(whole, self.size, random_numbers[:2])

        return self._crop(row, corner, self.flip & (random_numbers[2] < 0.5))

    def _assemble(self, position, row, random_numbers, image):
        first = self.captions.pick(row, random_numbers[3])
        captions = [first] + [
            self.captions.after(row, first, places)
            for places in range(1, self.captions_each)
        ]
        # Each caption has a random stream of its own.
        streams = [_WORDS, *range(_MORE_WORDS + 1, _MORE_WORDS + self.captions_each)]
        words = [
            self._sample_words(caption, stream, position)
            for caption, stream in zip(captions, streams, strict=True)
        ]
        return self._example(row, image, captions, words)

    def _sample_words(self, caption, stream, position):
        return sample_words(
            self.captions.words(caption),
            self.max_words,
            stateless_seed(self.seed, stream, position),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationExamples(_Examples):
    """The middle of an image and the first words of its first caption."""

    def quick(self, _: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises if its image is bad."""
        return self._assemble(row, self._middle(row))

    def careful(self, _: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """The same, and whether its image is good."""
        failed, image = self._first_good(row[tf.newaxis], 1, self._middle)
        self.bad_examples.report_in_graph(
            tf.repeat(row, failed), exhausted=tf.constant(False)
        )
        return self._assemble(row, image), tf.equal(failed, 0)

    def _middle(self, row):
        return self._crop(
            row, lambda whole: transforms.center_corner(whole, self.size), False
        )

    def _assemble(self, row, image):
        caption = self.captions.starts[row]
        ids = self.captions.words(caption)[: self.max_words]
        return self._example(row, image, [caption], [ids])


@tf.autograph.experimental.do_not_convert
def make_batch(
    positions: tf.Tensor,
    rows: tf.Tensor,
    examples: TrainingExamples | EvaluationExamples,
) -> Example:
    """A batch, in the graph.

    Errors in a graph can only be caught by a dataset inside the dataset. One for each
    example takes a fifth of the time, one for each batch hardly any. So the examples of
    a batch are first made without a check of each; if one fails, all are made once
    more with `careful`.

    Args:
        positions: (n,) int64.
        rows: (n,) int64, of the index.
        examples: how to make them.

    Returns:
        The examples that are good, stacked.
    """
    pairs = tf.data.Dataset.from_tensor_slices((positions, rows))
    tried = pairs.map(examples.quick, tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # The examples keep all cores busy; threads of one operation would only wait.
    options.threading.max_intra_op_parallelism = 1
    batch = _stack(tried.ignore_errors().with_options(options))

    def retry():
        checked = pairs.map(examples.careful).filter(lambda _, good: good)
        return _stack(checked.map(lambda example, _: example))

    batch = tf.cond(tf.size(batch["index"]) == tf.size(rows), lambda: batch, retry)
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
