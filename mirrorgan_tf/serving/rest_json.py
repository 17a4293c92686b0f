"""Conversion of arrays to and from the JSON of TensorFlow Serving's REST API."""

import base64
from typing import Any

import numpy as np

__all__ = ["array_from_json", "to_json"]

_DTYPES = {"DT_STRING": "O", "DT_FLOAT": "float32", "DT_DOUBLE": "float64"}


def to_json(value: Any) -> Any:
    """Converts arrays to lists, bytes to text, or to base64 if they are not UTF-8."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [to_json(item) for item in value] if isinstance(value, list) else value


def array_from_json(value: Any, info: dict) -> np.ndarray:
    """Converts an output to an array; strings become bytes.

    Args:
        value: the output in JSON.
        info: the output's TensorInfo from the server's metadata; JSON has neither types
            nor the shapes of empty arrays.
    """
    dtype = _DTYPES.get(info["dtype"]) or info["dtype"].removeprefix("DT_").lower()
    array = np.array(_to_bytes(value) if dtype == "O" else value, dtype)
    if not array.size:
        dims = info["tensor_shape"].get("dim", [])
        array = array.reshape(0, *(max(int(dim.get("size", 0)), 0) for dim in dims[1:]))
    return array


def _to_bytes(value):
    if isinstance(value, list):
        return [_to_bytes(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()
