"""Writes a trained model as a SavedModel for TensorFlow Serving."""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

import tensorflow as tf
from absl import logging

import mirrorgan_tf
from mirrorgan_tf.arguments import check_positive
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.serving.served_model import DEFAULT_SIGNATURES, ServedModel
from mirrorgan_tf.serving.versions import choose_version, folder_bytes, save_version
from mirrorgan_tf.serving.warmup import write_warmup

__all__ = ["MANIFEST_FILE", "export_model"]

# Training, options and packages of an exported model, as JSON.
MANIFEST_FILE = "export.json"
_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-nlp", "numpy")

_DTYPES = ("float32", "bfloat16", "float16")
_QUANTIZATIONS = ("none", "int8")


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
        version: from 1; None is the next one.
        dtype: see `ServedModel`; so are `quantize`, `xla`, `max_batch`, `candidates`
            and `default_signature`.
        quantize: "none" or "int8".
        ema: whether `model` has the averaged generator, for the manifest.
        xla: compile the generator where it is served.
        max_batch: rows of a request.
        candidates: images that `best_of` chooses from.
        redescription: export STREAM too, if the model has one.
        default_signature: "image", "png" or "jpeg".

    Returns:
        The version's folder.

    Raises:
        TypeError, ValueError: an argument is of another type or out of its range.
        UserError: see `save_version`.
    """
    for name, value, choices in (
        ("dtype", dtype, _DTYPES),
        ("quantize", quantize, _QUANTIZATIONS),
        ("default_signature", default_signature, DEFAULT_SIGNATURES),
    ):
        if value not in choices:
            raise ValueError(f"{name}={value!r}; expected one of {choices}")
    check_positive("max_batch", max_batch)
    check_positive("candidates", candidates)
    version = choose_version(out, version)
    if redescription and model.stream is None:
        logging.info(
            "the model has no STREAM: signatures redescribe and best_of are left out"
        )
        redescription = False
    served = ServedModel(
        model.tokenizer,
        model.stem,
        model.glam,
        model.stream if redescription else None,
        candidates=candidates,
        max_batch=max_batch,
        dtype=dtype,
        quantize=None if quantize == "none" else quantize,
        xla=xla,
        default_signature=default_signature,
    )
    options = {
        "dtype": dtype,
        "quantize": quantize,
        "ema": ema,
        "xla": xla,
        "max_batch": max_batch,
        "candidates": candidates,
        "redescription": redescription,
        "default_signature": default_signature,
    }

    def write_extra_files(folder):
        manifest = _describe_export(model, options, served.endpoints)
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (folder / MANIFEST_FILE).write_text(text)
        write_warmup(served.endpoints, folder, _warmup_batches(served, max_batch))

    target = save_version(
        served, served.endpoints, out, version, xla=xla, complete=write_extra_files
    )
    for name, endpoint in sorted(served.endpoints.items()):
        logging.info("  %s: %s", name, _describe_signature(endpoint))
    if xla:
        logging.info(
            "the server compiles the model: on CPUs start tensorflow_model_server with "
            "--xla_cpu_compilation_enabled"
        )
    logging.info("%s: %.1f MB", target, folder_bytes(target) / 1e6)
    return target


def _warmup_batches(served: ServedModel, max_batch: int) -> list[tuple[str, int]]:
    """Signature and number of rows of each warm-up request."""
    if served.batch_sizes:
        # XLA compiles for seconds at the first request of each batch size.
        return [
            (name, size)
            for name in sorted(served.endpoints)
            for size in served.batch_sizes
        ]
    # The largest request makes TensorFlow allocate the memory of all others.
    one_row_each = [(name, 1) for name in sorted(served.endpoints)]
    return [*one_row_each, ("serving_default", max_batch)]


def _describe_signature(endpoint: tf.types.experimental.ConcreteFunction) -> str:
    inputs = endpoint.structured_input_signature[1]
    outputs = endpoint.structured_outputs
    return " -> ".join(
        ", ".join(
            f"{name} {spec.dtype.name} {['N', *spec.shape[1:]]}".replace("'", "")
            for name, spec in specs.items()
        )
        for specs in (inputs, outputs)
    )


def _describe_export(model: MirrorGAN, options: dict, endpoints: dict) -> dict:
    """JSON values: of each signature the inputs and outputs, [dtype, [N, ..]] by name.

    `step` is that of stage glam's checkpoint, `flags` are the training's, without
    paths, and `options` the export's.
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
