"""Reads untrusted pickles: calls nothing that they name, at a bounded cost."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mirrorgan_tf.downloads import describe_placeholder
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import open_regular
from mirrorgan_tf.pickles.arrays import NAMES
from mirrorgan_tf.pickles.unpickling import PlainUnpickler, RefusedError, describe

__all__ = ["load_plain_pickle"]

_LONGEST_FILE = 64 * 2**20
# Values, characters and bytes that any file may contain, however short it is.
_FREE_VALUES = 100_000
_DEEPEST = 16
_LARGEST_INTEGER = 2**128


def load_plain_pickle(path: str | Path) -> Any:
    """Loads a pickle of lists, tuples, dictionaries, text, numbers and NumPy arrays.

    Reads any protocol, of Python 2 (its byte strings become str, by latin-1) or 3, of
    NumPy 1 or 2. What a pickle names is never imported: the few names that plain data
    needs stand for functions of this package that check their arguments.

    Returns:
        The pickled value. It has at most as many values and characters as the file has
        bytes, plus 100,000; a value that is referred to several times counts each time.

    Raises:
        UserError: the file is missing, damaged or larger than 64 MiB, or contains
            anything else.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _LONGEST_FILE:
                raise RefusedError("more than 64 MiB")
            content = file.read(size)
        allowance = _FREE_VALUES + len(content)
        value = PlainUnpickler(io.BytesIO(content), allowance, NAMES).load()
        _Inspection(allowance).visit([value], depth=0)
        return value
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except RefusedError as error:
        raise UserError(
            f"{path}: refused: it contains {error}; only lists, tuples, dictionaries, "
            "text, numbers and NumPy arrays are read"
        ) from None
    # A damaged pickle can raise any exception.
    except Exception as error:
        reason = describe_placeholder(content)
        reason = reason or f"not a complete pickle ({describe(error)})"
        raise UserError(f"{path}: {reason}") from None


class _Inspection:
    """Visits all values of a loaded pickle, and refuses what is not plain data.

    A value that is referred to several times is counted each time, because code that
    walks through the result visits it each time. A value that contains itself exceeds
    the depth.
    """

    def __init__(self, allowance: int) -> None:
        self._allowance = allowance

    def visit(self, values: Iterable, depth: int) -> None:
        if depth > _DEEPEST:
            raise RefusedError(f"values nested more than {_DEEPEST} deep")
        for value in values:
            self._spend(1)
            if isinstance(value, str):
                self._spend(len(value))
                _check_unicode(value)
            elif isinstance(value, int):
                if not -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
                    raise RefusedError("an integer of more than 128 bits")
            elif isinstance(value, bytes | bytearray):
                self._spend(len(value))
            elif isinstance(value, dict):
                self.visit(value, depth + 1)
                self.visit(value.values(), depth + 1)
            elif isinstance(value, list | tuple):
                self.visit(value, depth + 1)
            elif isinstance(value, np.ndarray):
                self._spend(value.nbytes)
            elif not isinstance(value, float | np.generic | None):
                raise RefusedError("a function or a type")

    def _spend(self, cost):
        self._allowance -= cost
        if self._allowance < 0:
            raise RefusedError("many references to the same large values")


def _check_unicode(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedError("text with half a character (a lone surrogate)") from None
