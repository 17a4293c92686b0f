"""Compares the outputs of a server with those of an exported version."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.clients import Client
from mirrorgan_tf.serving.exporting import MANIFEST_FILE
from mirrorgan_tf.serving.loading import load_saved_model

__all__ = ["verify"]

_ROWS = {
    "caption": ["a red bird with black wings", "", "black"],
    "caption_from": ["a red bird with black wings", "", "black"],
    "caption_to": ["black", "a red bird", ""],
    "weight": [0.25, 0.5, 1.0],
    "seed": [7, -3, 2**63 - 1],
}


def verify(client: Client, folder: Path) -> bool:
    """Compares a server with an exported version, and prints a line per signature.

    Outputs of signatures with a seed must be equal bit for bit. The others use new
    noise at each call: their types and shapes must be equal.

    Args:
        client: of the server.
        folder: folder of a version, or of all versions, of which the newest is used.

    Returns:
        Whether the server has the same signatures with the same outputs.

    Raises:
        UserError: there is no exported version in the folder, or the server does not
            answer.
    """
    served = client.signatures()
    model, folder = load_saved_model(folder, "serving_default", flag="verify")
    row_count = min(3, _max_batch(folder))
    same = True
    for name in sorted({*model.signatures, *served}):
        if name not in served:
            difference = "the server does not have it"
        elif name not in model.signatures:
            difference = f"{folder} does not have it"
        else:
            signature = model.signatures[name]
            difference = _difference(client, name, signature, row_count)
        print(f"{name}: {difference or 'the same'}")
        same = same and not difference
    return same


def _max_batch(folder):
    try:
        return json.loads((folder / MANIFEST_FILE).read_text())["options"]["max_batch"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"--verify={folder}: no readable {MANIFEST_FILE} there; give a version "
            "that `mirrorgan export` wrote"
        ) from None


def _difference(client, name, signature, row_count) -> str:
    """Describes how the server's outputs differ; empty if they don't."""
    inputs = {
        key: np.array(_ROWS[key][:row_count], spec.dtype.as_numpy_dtype)
        for key, spec in signature.structured_input_signature[1].items()
    }
    try:
        outputs = client.predict(name, inputs)
    except UserError as error:
        return str(error)
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    expected = {key: value.numpy() for key, value in signature(**tensors).items()}
    if set(outputs) != set(expected):
        return f"outputs {sorted(outputs)}, expected {sorted(expected)}"
    for key, value in sorted(expected.items()):
        served = outputs[key]
        if (served.dtype, served.shape) != (value.dtype, value.shape):
            return (
                f"{key} is {served.dtype} {list(served.shape)}, "
                f"expected {value.dtype} {list(value.shape)}"
            )
        if "seed" in inputs and (served != value).any():
            return f"{key} differs in {(served != value).sum()} of {value.size} values"
    return ""
