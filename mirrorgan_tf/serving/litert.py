"""Converts a trained generator to LiteRT (TensorFlow Lite), for phones and browsers."""

import errno
import json
import tempfile
from pathlib import Path

import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder
from mirrorgan_tf.logs import quiet
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.models.folding import fold_batch_norm
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.native_messages import native_messages_collected
from mirrorgan_tf.text_to_image import TextToImage

__all__ = ["MODEL_FILE", "TOKENIZER_FILE", "convert_to_litert", "export_litert"]

MODEL_FILE = "model.tflite"
TOKENIZER_FILE = "tokenizer.json"


def export_litert(model: MirrorGAN, out: Path, *, quantize: str = "none") -> Path:
    """Writes `model.tflite` and `tokenizer.json` into a new folder.

    Args:
        model: a trained model.
        out: the folder to create; it must be missing or empty.
        quantize: "none" or "int8", see `convert_to_litert`.

    Returns:
        The folder.

    Raises:
        ValueError: see `convert_to_litert`.
        UserError: the folder is not empty or can't be written, or the text encoder has
            a tokenizer of its own.
    """
    not_empty = UserError(
        f"--out={out}: is not an empty folder, and nothing is overwritten; choose "
        "another one"
    )
    # Check this before the conversion, which takes a minute.
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise not_empty
    tokenizer = {
        "words": list(model.tokenizer.vocabulary.words),
        "max_words": model.tokenizer.max_words,
    }
    content = convert_to_litert(model, quantize=quantize)
    try:
        with atomic_folder(out) as folder:
            folder.mkdir()
            (folder / MODEL_FILE).write_bytes(content)
            (folder / TOKENIZER_FILE).write_text(json.dumps(tokenizer, indent=1) + "\n")
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise not_empty from None
        raise UserError(f"--out={out}: can't be written ({error})") from None
    return out


def convert_to_litert(model: MirrorGAN, *, quantize: str = "none") -> bytes:
    """Converts STEM and GLAM to a LiteRT model of builtin operations.

    Its only signature, `serving_default`, has the inputs `ids` (1, L) int32,
    `lengths` (1,) int32 and `noise` (1, noise_dim + condition_dim) float32 from
    N(0, 1), and the output `image` (1, s, s, 3) float32 in [-1, 1].

    Args:
        model: a trained model.
        quantize: "none" or "int8"; "int8" stores and multiplies kernels in eight bits.

    Returns:
        The content of a .tflite file.

    Raises:
        ValueError: `quantize` is neither "none" nor "int8".
        UserError: the text encoder has a tokenizer of its own.
    """
    if type(model.stem).text_inputs is not TextEncoder.text_inputs:
        raise UserError(
            "--format=litert: LiteRT has no operations for strings, which this model's "
            "text encoder needs"
        )
    if quantize not in ("none", "int8"):
        raise ValueError(f"quantize={quantize!r}; expected 'none' or 'int8'")
    module = _GeneratorModule(model)
    # The converter's native code logs errors about attributes that it ignores.
    with (
        quiet(),
        native_messages_collected(),
        tempfile.TemporaryDirectory() as folder,
    ):
        # Only the conversion of a SavedModel keeps the names of inputs and outputs.
        tf.saved_model.save(module, folder, signatures=module.generate)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()


class _GeneratorModule(tf.Module):
    """Word ids and noise to the image of the last scale.

    A batch always has one row. The model then has no dynamic shapes, and the converter
    turns the loops of the LSTMs into builtin operations.
    """

    def __init__(self, model: MirrorGAN) -> None:
        super().__init__()
        max_words = model.tokenizer.max_words
        glam = fold_batch_norm(model.glam)
        text_to_image = TextToImage(model.tokenizer, model.stem, glam)
        # Saving must find the variables, but not the models: Keras would trace their
        # calls with one input, and they take several.
        self._variables = [
            variable.value
            for network in (model.stem, glam)
            for variable in network.variables
        ]

        def generate(ids, lengths, noise):
            text = model.stem.text_inputs(None, ids, lengths)
            words, sentence, padding_mask = model.stem(**text)
            outputs = text_to_image.from_embeddings(
                words, sentence, noise, padding_mask=padding_mask
            )
            return {"image": outputs["images"][-1]}

        self.generate = tf.function(
            generate,
            input_signature=[
                tf.TensorSpec([1, max_words], tf.int32, "ids"),
                tf.TensorSpec([1], tf.int32, "lengths"),
                tf.TensorSpec([1, text_to_image.noise_dim], tf.float32, "noise"),
            ],
            autograph=False,
        )
