"""Pickles of other people's, read without running anything that they name."""

import collections
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mirrorgan_tf.commands import UserError

__all__ = ["load_plain_pickle"]


def load_plain_pickle(path: str | Path) -> Any:
    """Loads a pickle of plain containers, strings, numbers and NumPy arrays.

    Any protocol, of Python 2 (its byte strings become str, by latin-1) or 3, of
    NumPy 1 or 2. What a pickle names is never imported: the few names that plain
    data needs stand for functions of this module that check what they are given.

    Raises:
        UserError: the file is missing or damaged, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            unpickler = _PlainUnpickler(file, encoding="latin1")
            content = unpickler.load()
        if unpickler.has_names:
            _check_plain(content)
        return content
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except _RefusedError as error:
        raise UserError(
            f"{path}: refused: it holds {error}, and only plain containers, strings, "
            "numbers and NumPy arrays are read"
        ) from None
    # Damaged pickles raise whatever their bytes happen to say.
    except Exception as error:
        detail = f"{type(error).__name__}: {ascii(str(error))}"[:200]
        raise UserError(f"{path}: not a whole pickle ({detail})") from None


class _RefusedError(Exception):
    """Its text is what was found."""


# Python's unpickler, not C's: a few bytes make that one's memo fill the memory.
class _PlainUnpickler(pickle._Unpickler):
    has_names = False

    def find_class(self, module: str, name: str) -> Any:
        self.has_names = True
        known = _KNOWN.get((module, name))
        if known is None:
            raise _RefusedError(ascii(f"{module}.{name}")[:200])
        return known

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("a reference to something outside the file")


def _check_plain(content):
    """Refuses what stood for a name and was never called."""
    unseen, seen = [content], set()
    while unseen:
        value = unseen.pop()
        if isinstance(value, _Function | _DType):
            raise _RefusedError("a function or a type")
        if id(value) in seen:
            continue
        if isinstance(value, dict):
            parts = (value, value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            parts = (value,)
        elif isinstance(value, np.ndarray) and value.dtype.hasobject:
            parts = (value.ravel().tolist(),)
        else:
            continue
        seen.add(id(value))
        for part in parts:
            # Most lists hold numbers or strings alone.
            if not set(map(type, part)) <= {int, str}:
                unseen.extend(part)


class _Function:
    """Stands for what a pickle calls; a pickle can't give it a state."""

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("a state for a function")


class _DType:
    """A pickled dtype. NumPy's own believes a state that lies about objects."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        dtype = np.dtype(code) if isinstance(code, str) else None
        if dtype is None or dtype.kind not in "?bBiufcSUO" or dtype.subdtype:
            raise _RefusedError(f"the dtype {code!a}"[:200])
        self.numpy = dtype

    def __setstate__(self, state: tuple) -> None:
        _, order, *structure = state[:5]
        if any(part is not None for part in structure):
            raise _RefusedError("a structured dtype")
        if order in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose state is checked before NumPy takes it."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, values = state
        if dtype.numpy.hasobject:
            whole = isinstance(values, list) and len(values) == _size(shape)
        else:
            values = _to_bytes(values)
            whole = _fits(shape, dtype, values)
        if not whole:
            raise ValueError(f"an array of shape {shape} with other contents")
        super().__setstate__((1, shape, dtype.numpy, bool(fortran), values))


def _size(shape):
    return math.prod(shape) if all(side >= 0 for side in shape) else -1


def _fits(shape, dtype, values):
    count = _size(shape)
    # Values of no bytes would let a short file claim any number of them.
    return count * dtype.numpy.itemsize == len(values) and count <= len(values)


def _to_bytes(values):
    # Python 2's byte strings have become str by now.
    if isinstance(values, str):
        return values.encode("latin1")
    if not isinstance(values, bytes | bytearray):
        raise _RefusedError(f"bytes made of a {type(values).__name__}")
    return bytes(values)


def _reconstruct(kind, shape, _):
    if kind is not _NDARRAY or shape != (0,):
        raise _RefusedError("an array that is not NumPy's own")
    return _Array((0,), "b")


def _scalar(dtype, value):
    if dtype.numpy.hasobject:
        raise _RefusedError("a scalar object")
    return np.frombuffer(_to_bytes(value), dtype.numpy, count=1)[0]


def _frombuffer(values, dtype, shape, order, axis_order=None):
    values = bytearray(_to_bytes(values))
    if dtype.numpy.hasobject or not _fits(shape, dtype, values):
        raise ValueError(f"an array of shape {shape} with other contents")
    array = np.frombuffer(values, dtype.numpy)
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order)
    return array.reshape(shape, order=order)


def _encode(text, encoding="latin1"):
    # Python 3 writes bytes so for protocols that have none.
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"the encoding {encoding!a}"[:200])
    return text.encode("latin1")


def _no_bytes():
    return b""


def _bytearray(values=b""):
    return bytearray(_to_bytes(values))


_NDARRAY = _Function(_reconstruct)
_KNOWN = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_DType),
    ("_codecs", "encode"): _Function(_encode),
    ("collections", "OrderedDict"): _Function(collections.OrderedDict),
}
for _module in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_module}.multiarray", "_reconstruct"] = _Function(_reconstruct)
    _KNOWN[f"{_module}.multiarray", "scalar"] = _Function(_scalar)
    _KNOWN[f"{_module}.numeric", "_frombuffer"] = _Function(_frombuffer)
for _module in ("builtins", "__builtin__"):
    _KNOWN[_module, "set"] = _Function(set)
    _KNOWN[_module, "frozenset"] = _Function(frozenset)
    _KNOWN[_module, "complex"] = _Function(complex)
    _KNOWN[_module, "bytes"] = _Function(_no_bytes)
    _KNOWN[_module, "bytearray"] = _Function(_bytearray)
