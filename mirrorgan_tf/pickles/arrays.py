"""Checked versions of what plain pickles call: NumPy's arrays, Python's containers."""

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

__all__ = ["NAMES", "most_rows"]

_MOST_AXES = 32
_MOST_EMPTY_ROWS = 100_000
# Booleans, numbers, text, bytes and objects; neither times nor structures.
_DTYPE_CODE = re.compile(r"[<>|=]?(\?|[bBiufcSUO][0-9]{0,9})")


class _DType(TakesState):
    """A pickled dtype; NumPy's own would accept a state that hides objects."""

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
        if dtype.numpy.hasobject:
            whole = isinstance(values, list) and len(values) == _size(shape)
        else:
            values = _to_bytes(values)
            whole = _fits(shape, dtype, values)
        if not whole:
            raise ValueError("an array with more or fewer contents than its shape")
        super().__setstate__((1, shape, dtype.numpy, fortran is True, values))


def _size(shape):
    if type(shape) is not tuple or len(shape) > _MOST_AXES:
        raise ValueError("the shape of an array is no shape")
    if not all(type(side) is int and 0 <= side < 2**40 for side in shape):
        raise ValueError("the shape of an array has a side that is no size")
    if 0 in shape and most_rows(shape) > _MOST_EMPTY_ROWS:
        raise RefusedError("an empty array with too long other sides")
    return math.prod(shape)


def most_rows(shape: tuple[int, ...]) -> int:
    """An upper bound of the rows of an array; one with a zero side may have many."""
    return math.prod(side for side in shape if side)


def _fits(shape, dtype, values):
    count = _size(shape)
    # Values of zero bytes would let a short file claim any number of them.
    return count * dtype.numpy.itemsize == len(values) and count <= len(values)


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
    if dtype.numpy.hasobject:
        raise RefusedError("a scalar object")
    return np.frombuffer(_to_bytes(value), dtype.numpy, count=1)[0]


def _frombuffer(values, dtype, shape, order, axis_order=None):
    values = bytearray(_to_bytes(values))
    if dtype.numpy.hasobject or not _fits(shape, dtype, values):
        raise ValueError("an array with more or fewer contents than its shape")
    array = np.frombuffer(values, dtype.numpy)
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order)
    return array.reshape(shape, order=order)


def _encode(text, encoding="latin1"):
    # How Python 3 writes bytes in protocols that have none.
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError("text in another encoding than latin-1")
    return text.encode("latin1")


def _no_bytes():
    return b""


def _bytearray(values=b""):
    return bytearray(_to_bytes(values))


def _set_of(kind):
    def make(values=()):
        check_type(values, list | tuple)
        check_keys(values)
        return kind(values)

    return Function(make)


def _ordered_dict(pairs=()):
    check_type(pairs, list | tuple)
    for pair in pairs:
        check_type(pair, list | tuple)
    check_keys(key for key, _ in pairs)
    return collections.OrderedDict(pairs)


def _complex(real, imaginary):
    check_type(real, float)
    check_type(imaginary, float)
    return complex(real, imaginary)


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
for _module in ("builtins", "__builtin__"):
    NAMES[_module, "set"] = _set_of(set)
    NAMES[_module, "frozenset"] = _set_of(frozenset)
    NAMES[_module, "complex"] = Function(_complex)
    NAMES[_module, "bytes"] = Function(_no_bytes)
    NAMES[_module, "bytearray"] = Function(_bytearray)
