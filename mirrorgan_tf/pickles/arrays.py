"""Checked replacements of the functions that pickles of plain data call."""

import collections
import math
import re

import numpy as np

from mirrorgan_tf.pickles.unpickling import (
    Function,
    RefusedError,
    TakesState,
    check_keys,
    check_type,
)

__all__ = ["NAMES"]

_MOST_AXES = 32
# Booleans, numbers and text. Excludes objects, times and structures.
_DTYPE_CODE = re.compile(r"[<>|=]?(\?|[bBiufcSU][0-9]{0,9})")


class _DType(TakesState):
    """A pickled dtype. NumPy's own would accept a state that contains objects."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise RefusedError("the dtype " + ascii(str(code)[:80]))
        self.numpy = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, order, *structure = state[:5]
        if any(part is not None for part in structure):
            raise RefusedError("a structured dtype")
        if isinstance(order, str) and order in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(order)


class _Array(TakesState, np.ndarray):
    """An array that checks its pickled state before NumPy uses it."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, values = state
        values = _to_bytes(values)
        _check_size(shape, dtype, values)
        super().__setstate__((1, shape, dtype.numpy, fortran is True, values))


def _check_size(shape, dtype, values):
    """Checks that an array's bytes are as many as its shape and dtype say."""
    if type(shape) is not tuple or len(shape) > _MOST_AXES:
        raise ValueError("an array's shape is not a tuple of sizes")
    if not all(type(side) is int and 0 <= side < 2**40 for side in shape):
        raise ValueError("an array's shape contains an invalid size")
    if 0 in shape and len(shape) > 1:
        # Converted to a list, it could have any number of empty rows.
        raise RefusedError("an empty array of several axes")
    count = math.prod(shape)
    # With elements of zero bytes, a short file could contain any number of them.
    if count * dtype.numpy.itemsize != len(values) or count > len(values):
        raise ValueError("an array has more or fewer bytes than its shape says")


def _to_bytes(values):
    # The unpickler has turned Python 2's byte strings into str.
    if isinstance(values, str):
        return values.encode("latin1")
    if not isinstance(values, bytes | bytearray):
        raise RefusedError(f"bytes from a {type(values).__name__}")
    return bytes(values)


def _reconstruct(kind, shape, _):
    if kind is not _NDARRAY or shape != (0,):
        raise RefusedError("an array that is not NumPy's own")
    return _Array((0,), "b")


def _scalar(dtype, value):
    return np.frombuffer(_to_bytes(value), dtype.numpy, count=1)[0]


def _frombuffer(values, dtype, shape, order):
    values = bytearray(_to_bytes(values))
    _check_size(shape, dtype, values)
    return np.frombuffer(values, dtype.numpy).reshape(shape, order=order)


def _encode(text, encoding="latin1"):
    # Python 3 writes bytes like this in protocols that have no bytes.
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError("text in another encoding than latin-1")
    return text.encode("latin1")


def _ordered_dict(pairs=()):
    check_type(pairs, list | tuple)
    for pair in pairs:
        check_type(pair, list | tuple)
    check_keys(key for key, _ in pairs)
    return collections.OrderedDict(pairs)


_NDARRAY = Function(_reconstruct)
NAMES = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Function(_DType),
    ("_codecs", "encode"): Function(_encode),
    ("collections", "OrderedDict"): Function(_ordered_dict),
}
for _module in ("numpy.core", "numpy._core"):
    NAMES[f"{_module}.multiarray", "_reconstruct"] = Function(_reconstruct)
    NAMES[f"{_module}.multiarray", "scalar"] = Function(_scalar)
    NAMES[f"{_module}.numeric", "_frombuffer"] = Function(_frombuffer)
