"""Writes a trained model as a SavedModel, with all that a server wants beside it."""

from pathlib import Path

from absl import logging

from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.serving.manifest import manifest, write_manifest
from mirrorgan_tf.serving.served_model import ServedModel
from mirrorgan_tf.serving.versions import save_version
from mirrorgan_tf.serving.warmup import write_warmup

__all__ = ["export_model"]

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
) -> Path:
    """Exports a model as the next version in a folder.

    Args:
        model: what to export.
        out: folder of all versions.
        version: the version to write, from 1; None: one more than the highest.
        dtype: what the generator computes in: float32, bfloat16 or float16.
        quantize: "none", or "int8" to store kernels in eight bits.
        ema: noted in the manifest: whether `model` has the averaged generator.
        xla: compile the generator where it is served, once a batch size.
        max_batch: captions that a request may hold.
        candidates: images that signature `best_of` chooses from.
        redescription: export STREAM too, if the model has one.

    Returns:
        The version's folder.

    Raises:
        ValueError: an option is none of its choices.
        UserError: see `save_version`.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype={dtype!r}; expected one of {_DTYPES}")
    if quantize not in _QUANTIZATIONS:
        raise ValueError(f"quantize={quantize!r}; expected one of {_QUANTIZATIONS}")
    if redescription and model.stream is None:
        logging.info("the model has no STREAM: exported without redescription")
    stream = model.stream if redescription else None
    served = ServedModel(
        model.tokenizer,
        model.stem,
        model.glam,
        stream,
        candidates=candidates,
        max_batch=max_batch,
        dtype=dtype,
        quantize=None if quantize == "none" else quantize,
        xla=xla,
    )
    options = {
        "dtype": dtype,
        "quantize": quantize,
        "ema": ema,
        "xla": xla,
        "max_batch": max_batch,
        "candidates": candidates,
        "redescription": stream is not None,
    }

    def complete(folder):
        write_manifest(manifest(model, options, served.endpoints), folder)
        write_warmup(served.endpoints, folder, _warmup_batches(served, max_batch))

    target = save_version(
        served, served.endpoints, out, version, xla=xla, complete=complete
    )
    for name, endpoint in sorted(served.endpoints.items()):
        logging.info("  %s: %s", name, _describe_signature(endpoint))
    return target


def _warmup_batches(served, max_batch):
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


def _describe_signature(endpoint):
    inputs = endpoint.structured_input_signature[1]
    outputs = endpoint.structured_outputs
    return " -> ".join(
        ", ".join(
            f"{name} {spec.dtype.name} {['N', *spec.shape[1:]]}".replace("'", "")
            for name, spec in specs.items()
        )
        for specs in (inputs, outputs)
    )
