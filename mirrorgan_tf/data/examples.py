"""Makes examples of an image and its captions, and batches of them, in a graph."""

import dataclasses

import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.bad_examples import BadExamples, first_success
from mirrorgan_tf.data.captions import TokenizedCaptions
from mirrorgan_tf.data.images import DecodedImages, ImageFiles
from mirrorgan_tf.text.tokenizer import sample_words

__all__ = ["EvaluationExamples", "TrainingExamples", "make_batch", "stateless_seed"]

# Each purpose has its own stream of random numbers.
_AUGMENTATION, _WORDS, _REPLACEMENT, _MORE_WORDS = 1, 2, 3, 4
# Images to try in the place of a bad one; at most 1 % of all images are bad.
_ATTEMPTS = 8

Example = dict[str, tf.Tensor]


def stateless_seed(seed: int, stream: int, position: tf.Tensor) -> tf.Tensor:
    """Stateless seed (2,) for one purpose, `stream`, at one position in the order."""
    return tf.stack([tf.constant(stream << 32 | seed, tf.int64), position])


@dataclasses.dataclass(frozen=True, eq=False)
class _Examples:
    """What training and evaluation share.

    `unchecked` makes an example, and raises an error if its image is bad. `checked`
    handles bad images, but is slower; its second result is False if there is no
    example.
    """

    images: ImageFiles | DecodedImages
    captions: TokenizedCaptions
    class_ids: tf.Tensor
    bad_examples: BadExamples
    size: int
    max_words: int

    def _crop(self, row, find_corner, flip):
        shape = (self.size, self.size)
        image = self.images.load(
            row, lambda resized: (find_corner(resized), shape), flip
        )
        return tf.ensure_shape(image, (*shape, 3))

    def _first_readable(self, rows, attempts, crop):
        """The number of bad images before the first good one, and its crop."""
        blank = tf.zeros((self.size, self.size, 3), tf.uint8)
        failures, image = first_success(lambda i: crop(rows[i]), attempts, blank)
        return failures, tf.ensure_shape(image, blank.shape)

    def _example(self, row, image, captions, word_ids):
        """An example of one image with k captions and the ids of their words."""
        lengths = [tf.shape(ids)[0] for ids in word_ids]
        padded = [
            tf.pad(ids, [[0, self.max_words - length]])
            for ids, length in zip(word_ids, lengths, strict=True)
        ]
        return {
            "images": image,
            "captions": tf.stack([self.captions.texts[i] for i in captions]),
            "caption_ids": tf.ensure_shape(tf.stack(padded), (None, self.max_words)),
            "caption_lengths": tf.stack(lengths),
            "class_ids": self.class_ids[row],
            "index": tf.cast(row, tf.int32),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingExamples(_Examples):
    """Random crop, flip, caption and words, which depend only on (seed, position).

    Attributes:
        seed: seed of all random numbers.
        flip: mirror every second image at random.
        captions_each: k, captions of an example: a random one and the next ones.
    """

    seed: int
    flip: bool
    captions_each: int = 1

    def unchecked(self, position: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises an error if its image is bad."""
        random_numbers = self._random_numbers(position)
        return self._assemble(
            position, row, random_numbers, self._random_crop(row, random_numbers)
        )

    def checked(self, position: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """An example, with another random image in the place of a bad one; and True."""
        random_numbers = self._random_numbers(position)
        replacements = tf.random.stateless_uniform(
            (_ATTEMPTS - 1,),
            stateless_seed(self.seed, _REPLACEMENT, position),
            maxval=len(self.captions),
            dtype=tf.int64,
        )
        rows = tf.concat([[row], replacements], 0)
        failures, image = self._first_readable(
            rows, _ATTEMPTS, lambda row: self._random_crop(row, random_numbers)
        )
        # Raises an error if all of them are bad.
        self.bad_examples.report_in_graph(
            rows[:failures], exhausted=tf.equal(failures, _ATTEMPTS)
        )
        row = rows[tf.minimum(failures, _ATTEMPTS - 1)]
        return self._assemble(position, row, random_numbers, image), tf.constant(True)

    def _random_numbers(self, position):
        return tf.random.stateless_uniform(
            (4,), stateless_seed(self.seed, _AUGMENTATION, position)
        )

    def _random_crop(self, row, random_numbers):
        def find_corner(resized):
            return transforms.random_corner(resized, self.size, random_numbers[:2])

        return self._crop(row, find_corner, self.flip & (random_numbers[2] < 0.5))

    def _assemble(self, position, row, random_numbers, image):
        first = self.captions.pick(row, random_numbers[3])
        captions = [first] + [
            self.captions.after(row, first, places)
            for places in range(1, self.captions_each)
        ]
        # Each caption has a stream of random numbers of its own.
        streams = [_WORDS, *range(_MORE_WORDS + 1, _MORE_WORDS + self.captions_each)]
        word_ids = [
            sample_words(
                self.captions.words(caption),
                self.max_words,
                stateless_seed(self.seed, stream, position),
            )
            for caption, stream in zip(captions, streams, strict=True)
        ]
        return self._example(row, image, captions, word_ids)


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationExamples(_Examples):
    """The centre of an image and the first words of its first caption."""

    def unchecked(self, _: tf.Tensor, row: tf.Tensor) -> Example:
        """An example; raises an error if its image is bad."""
        return self._assemble(row, self._center_crop(row))

    def checked(self, _: tf.Tensor, row: tf.Tensor) -> tuple[Example, tf.Tensor]:
        """An example, and whether its image is good."""
        failures, image = self._first_readable(row[tf.newaxis], 1, self._center_crop)
        self.bad_examples.report_in_graph(tf.repeat(row, failures), exhausted=False)
        return self._assemble(row, image), tf.equal(failures, 0)

    def _center_crop(self, row):
        return self._crop(
            row, lambda resized: transforms.center_corner(resized, self.size), False
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
    """Makes a batch, in a graph.

    Only a dataset inside the dataset can catch errors in a graph. One for each example
    takes a fifth of the time, one for each batch almost none. So `unchecked` makes the
    examples of a batch, and `checked` makes all of them once more if one fails.

    Args:
        positions: (n,) int64, positions in the order of all examples.
        rows: (n,) int64, rows of the index.
        examples: makes each example.

    Returns:
        The examples with good images, stacked.
    """
    pairs = tf.data.Dataset.from_tensor_slices((positions, rows))
    unchecked = pairs.map(examples.unchecked, tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # The examples keep all cores busy; threads of one operation would only wait.
    options.threading.max_intra_op_parallelism = 1
    batch = _stack(unchecked.ignore_errors().with_options(options))

    def make_checked():
        checked = pairs.map(examples.checked).filter(lambda _, is_good: is_good)
        return _stack(checked.map(lambda example, _: example))

    is_complete = tf.size(batch["index"]) == tf.size(rows)
    batch = tf.cond(is_complete, lambda: batch, make_checked)
    size = rows.shape[0]
    return tf.nest.map_structure(
        lambda values: tf.ensure_shape(values, (size, *values.shape[1:])), batch
    )


def _stack(examples: tf.data.Dataset) -> Example:
    """All examples, which may be none, as one batch."""
    empty = tf.nest.map_structure(
        lambda spec: tf.zeros((0, *spec.shape), spec.dtype), examples.element_spec
    )
    batches = examples.batch(tf.int64.max)
    batches = batches.concatenate(tf.data.Dataset.from_tensors(empty))
    return batches.take(1).get_single_element()
