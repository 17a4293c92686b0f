"""Class `ServedModel`, which exports save: signatures from captions to images."""

from collections.abc import Callable

import tensorflow as tf

from mirrorgan_tf.models.folding import fold_batch_norm
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.serving.signatures import Signatures
from mirrorgan_tf.serving.weights import StoredWeights
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text_to_image import TextToImage

__all__ = ["DEFAULT_SIGNATURES", "ServedModel"]

DEFAULT_SIGNATURES = ("image", "png", "jpeg")

_CAPTION = {"caption": tf.string}
_SEEDED = {"caption": tf.string, "seed": tf.int64}
_INTERPOLATION = {
    "caption_from": tf.string,
    "caption_to": tf.string,
    "weight": tf.float32,
    "seed": tf.int64,
}


class ServedModel(tf.Module):
    """Tokenizer, STEM, GLAM and STREAM behind signatures for `tf.saved_model.save`.

    Any bytes are a valid caption. Without a known word (empty, punctuation, unknown
    words, invalid UTF-8) the image has no particular content. Inputs have the shape
    (N,), where N may be 0, and outputs have N rows. Signatures with a seed compute each
    row on its own, so that caption and seed determine every bit of it, independently of
    other rows. No call changes a variable, so one loaded model can answer several
    requests at the same time.

    Args:
        tokenizer: the tokenizer, with its vocabulary.
        stem: the text encoder.
        glam: the generator; its batch norms are folded.
        stream: None: signatures `redescribe` and `best_of` are left out.
        candidates: number of images from which `best_of` chooses.
        max_batch: the most rows of a request; more are an InvalidArgumentError.
        dtype: the type in which the generator computes and is stored. STEM and STREAM
            keep their own types, because log-likelihoods are sensitive to rounding.
        quantize: "none" or "int8", see `StoredWeights`.
        xla: let the server compile the generator, once for each of `batch_sizes`.
        default_signature: which of `DEFAULT_SIGNATURES` `serving_default` is.

    Attributes:
        endpoints: name of a signature -> its concrete function.
        batch_sizes: with XLA, the numbers of rows for which the generator is compiled;
            smaller batches are padded to the next one. Empty without XLA.
    """

    def __init__(
        self,
        tokenizer: CaptionTokenizer,
        stem: TextEncoder,
        glam: Glam,
        stream: Stream | None = None,
        *,
        candidates: int = 4,
        max_batch: int = 32,
        dtype: str = "float32",
        quantize: str = "none",
        xla: bool = False,
        default_signature: str = "image",
    ) -> None:
        super().__init__(name="served_model")
        # The models are not attributes of this module: Keras would trace their calls
        # with one input for saving, and they take several.
        self._tokenizer = tokenizer
        glam = fold_batch_norm(glam, dtype)
        models = [stem, glam] if stream is None else [stem, glam, stream]
        self._weights = StoredWeights(models, quantize)
        text_to_image = TextToImage(tokenizer, stem, glam, stream, xla=xla)
        signatures = Signatures(text_to_image, candidates)
        self.batch_sizes = _powers_of_two(max_batch) if xla else []

        def batched(signature):
            function = _batched(signature, max_batch, self.batch_sizes)
            return _concrete_function(function, _CAPTION, self._weights)

        def row_by_row(signature, inputs=_SEEDED):
            function = _row_by_row(signature, max_batch)
            return _concrete_function(function, inputs, self._weights)

        images = {
            "image": batched(signatures.image),
            "png": batched(signatures.png),
            "jpeg": batched(signatures.jpeg),
        }
        endpoints = {
            "serving_default": images[default_signature],
            "png": images["png"],
            "jpeg": images["jpeg"],
            "seeded": row_by_row(signatures.seeded),
            "interpolate": row_by_row(signatures.interpolate, _INTERPOLATION),
            "explain": row_by_row(signatures.explain),
            "embed": batched(signatures.embed),
        }
        if stream is not None:
            endpoints |= {
                "redescribe": row_by_row(signatures.redescribe),
                "best_of": row_by_row(signatures.best_of),
            }
        # tf.Module refuses to save a dict that changes after its assignment.
        self.endpoints = endpoints


def _powers_of_two(largest: int) -> list[int]:
    """1, 2, 4 and so on, and `largest` as the last."""
    return [2**power for power in range((largest - 1).bit_length())] + [largest]


def _batched(signature: Callable, max_batch: int, batch_sizes: list[int]) -> Callable:
    """Computes all rows together, padded to one of `batch_sizes` if there are any."""

    def function(**rows):
        count = _checked_count(rows, max_batch)
        if batch_sizes:
            sizes = tf.constant(batch_sizes)
            padded_count = tf.reduce_min(tf.where(sizes < count, max_batch, sizes))
        else:
            # TensorFlow 2.21's oneDNN convolution returns a wrong number of channels
            # for an empty batch, and the next layer fails.
            padded_count = tf.maximum(count, 1)
        padding = tf.fill([padded_count - count], "")
        padded = {name: tf.concat([value, padding], 0) for name, value in rows.items()}
        return {name: value[:count] for name, value in signature(**padded).items()}

    return function


def _row_by_row(signature: Callable, max_batch: int) -> Callable:
    """Computes each row as a batch of its own.

    The rounding of a convolution depends on the size of the batch.
    """

    def first_row(row):
        batch_of_one = {name: value[tf.newaxis] for name, value in row.items()}
        return {name: value[0] for name, value in signature(**batch_of_one).items()}

    def function(**rows):
        _checked_count(rows, max_batch)
        specs = {name: tf.TensorSpec([], value.dtype) for name, value in rows.items()}
        traced = tf.function(first_row, autograph=False).get_concrete_function(specs)
        return tf.map_fn(
            traced,
            rows,
            # One row after the other: each uses all cores, and memory stays constant.
            parallel_iterations=1,
            fn_output_signature={
                name: tf.TensorSpec(output.shape, output.dtype)
                for name, output in traced.structured_outputs.items()
            },
        )

    return function


def _concrete_function(function: Callable, inputs: dict, weights: StoredWeights):
    """Traces a function of (N,) inputs that computes with the stored weights."""

    def with_stored_weights(**rows):
        with weights.in_use():
            return function(**rows)

    return tf.function(with_stored_weights, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec([None], dtype, name) for name, dtype in inputs.items()}
    )


def _checked_count(rows: dict, max_batch: int) -> tf.Tensor:
    """Number of rows; a call with unequal inputs or too many rows fails.

    Replaces the tensors in `rows` by tensors that are computed after these checks.
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
