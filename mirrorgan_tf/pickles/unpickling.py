"""Python's unpickler without classes, sets and other objects, at a bounded cost.

A pickle is a program: even without calls, a few hundred bytes can build values that
take hours to hash. So the arguments of calls are counted, and keys of dictionaries must
be text or small numbers, which are cheap to hash and to compare.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

__all__ = [
    "Function",
    "PlainUnpickler",
    "RefusedError",
    "TakesState",
    "check_keys",
    "check_type",
    "describe",
]

_MOST_ARGUMENTS = 8
_LARGEST_KEY = 2**31
_LARGEST_MEMO_INDEX = 2**32 - 1


class RefusedError(Exception):
    """A pickle contains something that is not read; the message says what."""


def describe(error: Exception) -> str:
    """An unpickler's exception in one short line.

    Its arguments may be huge values of the pickle, so only text is quoted.
    """
    quoted = [ascii(part[:200]) for part in error.args if isinstance(part, str)]
    return ": ".join([type(error).__name__, *quoted[:1]])


class Function:
    """A function that pickles may call."""

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        """Calls it."""
        return self._function(*args)


class TakesState:
    """Base of classes whose __setstate__ checks the state from a pickle."""


# Instances of classes, copyreg's codes of classes, buffers outside the file, and sets.
_REFUSED_OPCODES = {
    opcode[0]
    for opcode in (
        pickle.INST,
        pickle.OBJ,
        pickle.NEWOBJ,
        pickle.NEWOBJ_EX,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
        pickle.EMPTY_SET,
        pickle.FROZENSET,
        pickle.ADDITEMS,
    )
}


# The unpickler in Python, because a few bytes make the memo of the one in C allocate
# gigabytes.
class PlainUnpickler(pickle._Unpickler):
    """Python's unpickler without objects, and with bounds.

    Args:
        file: bytes in memory, so that reading a length from the file can't allocate
            more than the file has.
        allowance: the most elements, characters and bytes that the arguments of all
            calls may have together.
        names: (module, name) to the object to use; all other names are refused.
    """

    dispatch = {
        opcode: load
        for opcode, load in pickle._Unpickler.dispatch.items()
        if opcode not in _REFUSED_OPCODES
    }

    def __init__(
        self, file: BinaryIO, allowance: int, names: Mapping[tuple[str, str], Any]
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._allowance = allowance
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        """Returns the object of a name; RefusedError for an unknown name."""
        known = self._names.get((module, name))
        if known is None:
            raise RefusedError(ascii(f"{module}.{name}"[:200]))
        return known

    def persistent_load(self, pid: Any) -> Any:
        """Refuses references to objects outside the file."""
        raise RefusedError("a reference to something outside the file")

    def _count_arguments(self, arguments):
        """Bounds the results of all calls: none is larger than its arguments."""
        if type(arguments) is not tuple or len(arguments) > _MOST_ARGUMENTS:
            raise RefusedError("a call with invalid arguments")
        self._allowance -= sum(1 + _length(argument) for argument in arguments)
        if self._allowance < 0:
            raise RefusedError("many calls with large arguments")

    def _load_reduce(self):
        function, arguments = self.stack[-2:]
        if not isinstance(function, Function):
            raise RefusedError("a call of something else than a function")
        self._count_arguments(arguments)
        super().load_reduce()

    def _load_build(self):
        target, state = self.stack[-2:]
        if isinstance(target, dict):
            # Drops the attribute _metadata of PyTorch's dictionaries of parameters.
            self.stack.pop()
            return
        if not isinstance(target, TakesState):
            raise RefusedError("a state for something else than an array")
        self._count_arguments(state)
        super().load_build()

    def _load_append(self):
        check_type(self.stack[-2], list)
        super().load_append()

    def _load_appends(self):
        check_type(self.metastack[-1][-1], list)
        super().load_appends()

    def _load_dict(self):
        check_keys(self.stack[::2])
        super().load_dict()

    def _load_setitem(self):
        target, key, _ = self.stack[-3:]
        check_type(target, dict)
        check_keys([key])
        super().load_setitem()

    def _load_setitems(self):
        check_type(self.metastack[-1][-1], dict)
        check_keys(self.stack[::2])
        super().load_setitems()

    def _load_put(self):
        index = int(self.readline()[:-1])
        if not 0 <= index <= _LARGEST_MEMO_INDEX:
            raise ValueError("a memo index is out of range")
        self.memo[index] = self.stack[-1]

    def _load_bytearray8(self):
        # Python's own method allocates the length before it reads the bytes.
        length = int.from_bytes(self.read(8), "little")
        content = self.read(length)
        if len(content) != length:
            raise EOFError
        self.append(bytearray(content))

    dispatch |= {
        pickle.APPEND[0]: _load_append,
        pickle.APPENDS[0]: _load_appends,
        pickle.BUILD[0]: _load_build,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
        pickle.DICT[0]: _load_dict,
        pickle.PUT[0]: _load_put,
        pickle.REDUCE[0]: _load_reduce,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
    }


def _length(value):
    if isinstance(value, np.ndarray):
        return value.nbytes
    sized = str | bytes | bytearray | list | tuple | dict
    return len(value) if isinstance(value, sized) else 0


def check_type(target: Any, expected: Any) -> None:
    """Raises RefusedError unless an argument or an opcode's target has a type."""
    if not isinstance(target, expected):
        raise RefusedError(f"an operation on a {type(target).__name__}")


def check_keys(keys: Iterable) -> None:
    """Raises RefusedError for keys that are slow to hash or to compare.

    Nested tuples take exponential time to hash, and all multiples of 2**61 - 1 have
    the same hash.
    """
    for key in keys:
        if isinstance(key, int | np.integer):
            if -_LARGEST_KEY <= key <= _LARGEST_KEY:
                continue
        elif isinstance(key, str | bytes | float | None):
            continue
        raise RefusedError("a key that is neither text nor a small number")
