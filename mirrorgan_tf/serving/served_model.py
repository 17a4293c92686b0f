"""What is served: captions to images as a module that carries everything it needs."""

from collections.abc import Callable

import tensorflow as tf

from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.mirrorgan import TextToImage, seeded_noise
from mirrorgan_tf.models.folding import fold_batch_norm
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.serving.weights import StoredWeights
from mirrorgan_tf.text.tokenizer import CaptionTokenizer

__all__ = ["ServedModel"]

_CAPTION = {"caption": tf.string}
_SEEDED = {"caption": tf.string, "seed": tf.int64}
_BETWEEN = {
    "caption_from": tf.string,
    "caption_to": tf.string,
    "weight": tf.float32,
    "seed": tf.int64,
}
_JPEG_QUALITY = 95


class ServedModel(tf.Module):
    """Tokenizer, STEM, GLAM and STREAM behind signatures for `tf.saved_model.save`.

    Any bytes are a caption: what holds no known word (empty, punctuation, unknown
    words, invalid UTF-8) gives an image of no particular content. Inputs are (N,),
    and so many rows come out, 0 too. With a seed a row is computed on its own:
    caption and seed fix every bit of it, whatever stands beside it. No call changes
    a variable, so one loaded model may answer many at once.

    Attributes:
        endpoints: the concrete functions to serve as signatures, by name.
        batch_sizes: with XLA, the numbers of rows that the generator is compiled for;
            others are filled up to the next of them. Empty without XLA.
    """

    def __init__(
        self,
        tokenizer: CaptionTokenizer,
        stem: Stem,
        glam: Glam,
        stream: Stream | None = None,
        *,
        candidates: int = 4,
        max_batch: int = 32,
        dtype: str = "float32",
        quantize: str | None = None,
        xla: bool = False,
    ) -> None:
        """Takes trained parts.

        Args:
            tokenizer: with its vocabulary.
            stem: text encoder.
            glam: the generator to serve; batch norms are folded.
            stream: None leaves out `redescribe` and `best_of`.
            candidates: images that `best_of` chooses from.
            max_batch: rows of a request; more are an InvalidArgumentError.
            dtype: what the generator computes in and is stored in; STEM and STREAM,
                which are judged by small differences, keep to their own.
            quantize: None or "int8", see `StoredWeights`.
            xla: compile the generator where it is served, once for each of
                `batch_sizes`.
        """
        super().__init__(name="served_model")
        # The models themselves stay out of sight: saving would trace a signature
        # of one input for each of them, which theirs don't have.
        self._tokenizer = tokenizer
        glam = fold_batch_norm(glam, dtype)
        models = [stem, glam] if stream is None else [stem, glam, stream]
        self._weights = StoredWeights(models, quantize)
        text_to_image = TextToImage(tokenizer, stem, glam, xla=xla)
        answers = _Answers(text_to_image, stream, candidates)
        self.batch_sizes = _powers_of_two(max_batch) if xla else []

        def at_once(answer):
            endpoint = _at_once(answer, max_batch, self.batch_sizes)
            return _signature(endpoint, _CAPTION, self._weights)

        def row_by_row(answer, inputs=_SEEDED):
            return _signature(_row_by_row(answer, max_batch), inputs, self._weights)

        endpoints = {
            "serving_default": at_once(answers.image),
            "png": at_once(answers.png),
            "jpeg": at_once(answers.jpeg),
            "seeded": row_by_row(answers.seeded),
            "interpolate": row_by_row(answers.interpolate, _BETWEEN),
            "explain": row_by_row(answers.explain),
            "embed": at_once(answers.embed),
        }
        if stream is not None:
            endpoints |= {
                "redescribe": row_by_row(answers.redescribe),
                "best_of": row_by_row(answers.best_of),
            }
        self.endpoints = endpoints


class _Answers:
    """What each signature answers to a batch of at least one row."""

    def __init__(self, text_to_image, stream, candidates):
        self._text_to_image = text_to_image
        self._stream = stream
        self._candidates = candidates

    def image(self, caption):
        """Images with fresh noise."""
        shape = tf.stack([tf.size(caption), self._text_to_image.noise_dim])
        # tf.random.normal's own op, with seeds of 0: any seed set globally while
        # exporting would be frozen in, and each restart would repeat itself.
        noise = tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32)
        return {"image": to_uint8(self._text_to_image(caption, noise)["images"][-1])}

    def png(self, caption):
        """PNG files with fresh noise."""
        return self._files(caption, tf.io.encode_png)

    def jpeg(self, caption):
        """JPEG files with fresh noise."""
        return self._files(
            caption, lambda image: tf.io.encode_jpeg(image, quality=_JPEG_QUALITY)
        )

    def _files(self, caption, encode):
        images = self.image(caption)["image"]
        return {"image_bytes": tf.map_fn(encode, images, fn_output_signature=tf.string)}

    def seeded(self, caption, seed):
        """Images that caption and seed fix."""
        return {"image": to_uint8(self._make(caption, seed)["images"][-1])}

    def interpolate(self, caption_from, caption_to, weight, seed):
        """Images between two captions; not a number counts as 0."""
        weight = tf.where(tf.math.is_nan(weight), 0.0, weight)
        made = self._text_to_image.interpolate(
            caption_from,
            caption_to,
            tf.clip_by_value(weight, 0.0, 1.0),
            seeded_noise(seed, self._text_to_image.noise_dim),
        )
        return {"image": to_uint8(made["images"][-1])}

    def explain(self, caption, seed):
        """All scales, and where words and sentence were looked at."""
        made = self._make(caption, seed)
        answer = {
            f"image_{images.shape[1]}": to_uint8(images) for images in made["images"]
        }
        for maps in made["word_attention"]:
            answer[f"word_attention_{maps.shape[1]}"] = maps
        for maps in made["sentence_attention"]:
            answer[f"sentence_attention_{maps.shape[1]}"] = _concentration(maps)
        tokenizer = self._text_to_image.tokenizer
        answer["words"] = tokenizer.detokenize(made["ids"][..., tf.newaxis])
        answer["length"] = made["lengths"]
        return answer

    def redescribe(self, caption, seed):
        """Images, what STREAM reads in them, and how well the caption fits."""
        image, feature, ids = self._seen(caption, seed)
        read = greedy(self._stream.decoder, feature, ids.shape[1])
        return {
            "image": image,
            "redescription": self._text_to_image.tokenizer.detokenize(read),
            "log_likelihood": log_likelihood(self._stream.decoder, feature, ids),
        }

    def best_of(self, caption, seed):
        """The candidate that the caption fits best; the first of equals."""

        def judge(candidate_seed):
            image, feature, ids = self._seen(caption, candidate_seed[tf.newaxis])
            return image[0], log_likelihood(self._stream.decoder, feature, ids)[0]

        seeds = seed[0] + tf.range(self._candidates, dtype=tf.int64)
        side = self._text_to_image.glam.sizes[-1]
        images, scores = tf.map_fn(
            judge,
            seeds,
            parallel_iterations=1,
            fn_output_signature=(
                tf.TensorSpec([side, side, 3], tf.uint8),
                tf.TensorSpec([], tf.float32),
            ),
        )
        best = tf.argmax(scores)
        return {
            "image": images[best][tf.newaxis],
            "seed": seeds[best][tf.newaxis],
            "log_likelihood": scores[best][tf.newaxis],
        }

    def embed(self, caption):
        """STEM's embeddings."""
        embedded = self._text_to_image.embed(caption)
        return {
            "words": embedded["words"],
            "sentence": embedded["sentence"],
            "length": embedded["lengths"],
        }

    def _make(self, caption, seed):
        noise = seeded_noise(seed, self._text_to_image.noise_dim)
        return self._text_to_image(caption, noise)

    def _seen(self, caption, seed):
        made = self._make(caption, seed)
        feature = self._stream.encoder(made["images"][-1])
        return to_uint8(made["images"][-1]), feature, made["ids"]


def _concentration(weights):
    """(.., C) that sum to 1 to (..): 0 where all are alike, 1 where one has all."""
    entropy = -tf.reduce_sum(tf.math.xlogy(weights, weights), axis=-1)
    most = tf.math.log(tf.cast(max(weights.shape[-1], 2), weights.dtype))
    return tf.clip_by_value(1.0 - entropy / most, 0.0, 1.0)


def _powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 and so on, and `largest` as the last."""
    return [2**power for power in range((largest - 1).bit_length())] + [largest]


def _at_once(answer: Callable, max_batch: int, batch_sizes: list[int]) -> Callable:
    """Answers all rows together; see `ServedModel.batch_sizes`."""

    def endpoint(**rows):
        count = _checked_count(rows, max_batch)
        if batch_sizes:
            sizes = tf.constant(batch_sizes)
            filled_count = tf.reduce_min(tf.where(sizes < count, max_batch, sizes))
        else:
            # An empty batch leaves TensorFlow 2.21's oneDNN convolution with as many
            # channels as it came with, and the next layer fails.
            filled_count = tf.maximum(count, 1)
        fill = tf.fill([filled_count - count], "")
        filled = {name: tf.concat([value, fill], 0) for name, value in rows.items()}
        return {name: value[:count] for name, value in answer(**filled).items()}

    return endpoint


def _row_by_row(answer: Callable, max_batch: int) -> Callable:
    """Answers each row as if it were alone.

    How a convolution rounds depends on the size of its batch.
    """

    def endpoint(**rows):
        _checked_count(rows, max_batch)
        one = {name: tf.TensorSpec([1], value.dtype) for name, value in rows.items()}
        traced = tf.function(answer, autograph=False).get_concrete_function(**one)
        outputs = traced.structured_outputs
        return tf.map_fn(
            lambda row: {
                name: made[0]
                for name, made in answer(
                    **{name: value[tf.newaxis] for name, value in row.items()}
                ).items()
            },
            rows,
            # One after the other: a row fills all cores, and memory stays flat.
            parallel_iterations=1,
            fn_output_signature={
                name: tf.TensorSpec(made.shape[1:], made.dtype)
                for name, made in outputs.items()
            },
        )

    return endpoint


def _signature(endpoint: Callable, inputs: dict, weights: StoredWeights):
    """A concrete function of rows of any number."""

    def weighted(**rows):
        with weights.in_use():
            return endpoint(**rows)

    return tf.function(weighted, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec([None], dtype, name) for name, dtype in inputs.items()}
    )


def _checked_count(rows: dict, max_batch: int) -> tf.Tensor:
    """Rows of a request, the same in all inputs and not too many.

    Nothing that uses the inputs runs before the checks have passed.
    """
    first, *others = rows
    count = tf.size(rows[first])
    checks = [
        tf.debugging.assert_equal(
            tf.size(rows[name]), count, f"{name} and {first} differ in their number"
        )
        for name in others
    ]
    checks.append(
        tf.debugging.assert_less_equal(
            count,
            max_batch,
            f"too many captions; at most {max_batch} a request (--max_batch)",
        )
    )
    with tf.control_dependencies(checks):
        for name in rows:
            rows[name] = tf.identity(rows[name])
        return tf.identity(count)
