"""Checks of the Python API's arguments: `ValueError` and `TypeError` name them."""

import contextlib
import reprlib
import secrets
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import numpy as np

from mirrorgan_tf.errors import UserError

__all__ = [
    "check_captions",
    "check_path",
    "check_positive",
    "check_seeds",
    "value_errors",
    "wrap_seed",
]

_SEEDS = range(-(2**63), 2**63)


def check_captions(captions: str | Sequence[str]) -> tuple[list[bytes], bool]:
    """The captions as a list of bytes, and whether a single string was passed.

    Raises:
        TypeError: they are no strings.
    """
    is_single = isinstance(captions, str | bytes)
    try:
        is_list = not isinstance(captions, str | bytes | Mapping | Set)
        listed = list(captions) if is_list else [captions]
    except TypeError:
        listed = [captions]
    for caption in listed:
        if not isinstance(caption, str | bytes):
            raise TypeError(
                f"captions={reprlib.repr(captions)}; expected a string or a list of "
                "strings"
            )
    texts = [
        caption.encode("utf-8", "replace") if isinstance(caption, str) else caption
        for caption in listed
    ]
    return texts, is_single


def check_seeds(seed: int | Sequence[int] | None, count: int) -> list[int]:
    """One seed for each of `count` captions; see `MirrorGAN.generate`.

    Raises:
        TypeError: a seed is no int.
        ValueError: a seed has more than 64 bits, or there are not `count` of them.
    """
    if seed is None:
        return [secrets.randbits(63) for _ in range(count)]
    try:
        is_single = np.ndim(seed) == 0
    except ValueError:
        # A list of lists of different lengths.
        is_single = True
    seeds = [seed] * count if is_single else list(seed)
    for value in [seed] if is_single else seeds:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"seed={value!r}; expected an int, a list of ints or None")
        if int(value) not in _SEEDS:
            raise ValueError(f"seed={value}; expected -2^63 to 2^63 - 1")
    if len(seeds) != count:
        raise ValueError(
            f"seed: {len(seeds)} seeds for {count} captions; expected one a caption"
        )
    return [int(value) for value in seeds]


def wrap_seed(seed: int) -> int:
    """The int64 that TensorFlow's addition of int64 numbers would give."""
    return (seed + 2**63) % 2**64 - 2**63


def check_positive(name: str, value: int) -> None:
    """Raises TypeError unless a value is an int, ValueError unless it is positive."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r}; expected an int")
    if value < 1:
        raise ValueError(f"{name}={value}; expected at least 1")


def check_path(name: str, path: str | Path) -> None:
    """Raises TypeError unless a value can be a path, ValueError if it is empty."""
    if not isinstance(path, str | Path):
        raise TypeError(f"{name}={path!r}; expected a string or a path")
    if path == "":
        raise ValueError(f"{name}=''; expected a name or a path")


@contextlib.contextmanager
def value_errors(flag: str, value: str | Path) -> Iterator[None]:
    """Turns a command's error into a ValueError that begins with the value.

    Args:
        flag: of the command; the API's message does not name it.
        value: of the argument.
    """
    try:
        yield
    except UserError as error:
        reason = str(error).removeprefix(f"--{flag}={value}: ")
        raise ValueError(f"{value}: {reason}") from None
