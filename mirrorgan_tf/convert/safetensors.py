"""Reads .safetensors: a JSON header that tells where each tensor's bytes lie."""

import json
import math
from pathlib import Path

import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["read_safetensors"]

# The format's own bound.
_LONGEST_HEADER = 100_000_000
# NumPy's: axes of an array, and the product of its sides, even if one of them is 0.
_MOST_AXES, _MOST_ELEMENTS = 32, 2**48
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    # Has no NumPy type; the upper half of a float32.
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all tensors; bfloat16 becomes float32.

    Raises:
        UserError: the file can't be read, or breaks a rule of the format: every byte
            after the header belongs to exactly one tensor.
    """
    try:
        content = read_bytes(path)
        header, data = _split(content)
        pieces = sorted(
            (_piece(name, entry) for name, entry in header.items()),
            key=lambda piece: piece[1],
        )
        end = 0
        for name, first, last, _, _ in pieces:
            if first != end:
                raise ValueError(f"{name} begins at {first}, not at {end}")
            end = last
        if end != len(data):
            raise ValueError(f"{len(data)} bytes of tensors, not {end}")
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise UserError(f"{path}: no whole .safetensors file ({reason})") from None
    return {
        name: _array(data[first:last], dtype, shape)
        for name, first, last, dtype, shape in pieces
    }


def _split(content):
    """The header's tensors, and the bytes after it."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(_LONGEST_HEADER, len(content) - 8):
        raise ValueError("its header does not fit into it")
    header = json.loads(
        content[8 : 8 + length].decode("utf-8"), object_pairs_hook=_without_repetition
    )
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    return header, memoryview(content)[8 + length :]


def _without_repetition(pairs):
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("its header gives a name twice")
    return names


def _piece(name, entry):
    """Checked: name, first byte, the one after the last, type, shape."""
    kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"{name} is of type {kind!r}, which is not read")
    if not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise ValueError(f"{name} has no shape of at most {_MOST_AXES} sides")
    for number in (*shape, first, last):
        if type(number) is not int or not 0 <= number < _MOST_ELEMENTS:
            raise ValueError(f"{name} has {number!r} for a size or place")
    if math.prod(side for side in shape if side) > _MOST_ELEMENTS:
        raise ValueError(f"{name} has the shape {shape}, which no array has")
    if last - first != math.prod(shape) * _DTYPES[kind].itemsize:
        raise ValueError(f"{name} takes {last - first} bytes, but has shape {shape}")
    return name, first, last, kind, tuple(shape)


def _array(data, kind, shape):
    array = np.frombuffer(data, _DTYPES[kind]).reshape(shape)
    if kind == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array
