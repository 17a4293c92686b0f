"""Exports a trained model as a SavedModel for TensorFlow Serving."""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

from absl import logging

import mirrorgan_tf
from mirrorgan_tf.arguments import check_positive
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.serving.served_model import DEFAULT_SIGNATURES, ServedModel
from mirrorgan_tf.serving.versions import choose_version, save_version
from mirrorgan_tf.serving.warmup import write_warmup

__all__ = ["MANIFEST_FILE", "export_model"]

# A JSON file that describes the training, the options and the packages of an export.
MANIFEST_FILE = "export.json"
_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-nlp", "numpy")

_CHOICES = {
    "dtype": ("float32", "bfloat16", "float16"),
    "quantize": ("none", "int8"),
    "default_signature": DEFAULT_SIGNATURES,
}


def export_model(
    model: MirrorGAN,
    out: Path,
    *,
    version: int | None = None,
    dtype: str = "float32",
    quantize: str = "none",
    ema: bool = True,
    xla: bool = False,
    max_batch: int = 32,
    candidates: int = 4,
    redescription: bool = True,
    default_signature: str = "image",
) -> Path:
    """Writes a version of a served model, with its manifest and warm-up requests.

    Args:
        model: a trained model.
        out: folder of all versions; created if missing.
        version: number of the version, from 1; None: the next number.
        dtype: "float32", "bfloat16" or "float16", in which the generator computes.
        quantize: "none" or "int8".
        ema: whether `model` has the averaged generator; only written to the manifest.
        xla: let the server compile the generator.
        max_batch: the most rows of a request.
        candidates: number of images from which `best_of` chooses.
        redescription: export STREAM too, if the model has one.
        default_signature: "image", "png" or "jpeg".

    Returns:
        The version's folder.

    Raises:
        TypeError, ValueError: an argument is of another type or out of its range.
        UserError: see `choose_version` and `save_version`.
    """
    if redescription and model.stream is None:
        logging.info(
            "the model has no STREAM: signatures redescribe and best_of are left out"
        )
        redescription = False
    served_options = {
        "dtype": dtype,
        "quantize": quantize,
        "xla": xla,
        "max_batch": max_batch,
        "candidates": candidates,
        "default_signature": default_signature,
    }
    for name, choices in _CHOICES.items():
        if served_options[name] not in choices:
            raise ValueError(
                f"{name}={served_options[name]!r}; expected one of {choices}"
            )
    check_positive("max_batch", max_batch)
    check_positive("candidates", candidates)
    version = choose_version(out, version)
    stream = model.stream if redescription else None
    served = ServedModel(
        model.tokenizer, model.stem, model.glam, stream, **served_options
    )
    options = served_options | {"ema": ema, "redescription": redescription}
    manifest = _describe_export(model, options, served.endpoints)

    def write_extra_files(folder):
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (folder / MANIFEST_FILE).write_text(text)
        write_warmup(served.endpoints, folder, _warmup_batches(served, max_batch))

    target = save_version(
        served,
        served.endpoints,
        out,
        version,
        xla=xla,
        write_extra_files=write_extra_files,
    )
    for name, signature in sorted(manifest["signatures"].items()):
        logging.info("  %s: %s", name, _describe_signature(signature))
    if xla:
        logging.info(
            "the server compiles the model: on CPUs start tensorflow_model_server with "
            "--xla_cpu_compilation_enabled"
        )
    sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    logging.info("%s: %.1f MB", target, sum(sizes) / 1e6)
    return target


def _warmup_batches(served: ServedModel, max_batch: int) -> list[tuple[str, int]]:
    """Signature and number of rows of each warm-up request."""
    if served.batch_sizes:
        # XLA compiles at the first request of each batch size, which takes seconds.
        return [
            (name, size)
            for name in sorted(served.endpoints)
            for size in served.batch_sizes
        ]
    # At the largest request TensorFlow allocates memory that suffices for all others.
    one_row_each = [(name, 1) for name in sorted(served.endpoints)]
    return [*one_row_each, ("serving_default", max_batch)]


def _describe_signature(signature: dict) -> str:
    """An entry of the manifest as one line."""
    return " -> ".join(
        ", ".join(
            f"{name} {dtype} [{', '.join(map(str, shape))}]"
            for name, (dtype, shape) in signature[kind].items()
        )
        for kind in ("inputs", "outputs")
    )


def _describe_export(model: MirrorGAN, options: dict, endpoints: dict) -> dict:
    """The manifest, a dictionary of JSON values.

    `step` is the step of stage glam's checkpoint, `flags` are the settings of the
    training without paths, `options` those of the export. Inputs and outputs of a
    signature are listed as name -> [dtype, [N, ..]].
    """
    words = model.tokenizer.vocabulary.words
    text = "".join(f"{word}\n" for word in words)
    return {
        "step": model.step,
        "flags": model.config.to_flags(paths=False),
        "options": options,
        "packages": {
            "python": platform.python_version(),
            "mirrorgan_tf": mirrorgan_tf.__version__,
        }
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "vocabulary": {
            "words": len(words),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "sizes": list(model.config.sizes),
        "signatures": {
            name: {
                "inputs": _specs(endpoint.structured_input_signature[1]),
                "outputs": _specs(endpoint.structured_outputs),
            }
            for name, endpoint in endpoints.items()
        },
    }


def _specs(specs):
    return {
        name: [spec.dtype.name, ["N", *spec.shape[1:]]] for name, spec in specs.items()
    }
