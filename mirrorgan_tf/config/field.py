"""A setting: a field of a group, with what its flag needs."""

import dataclasses
from typing import Any

__all__ = ["setting"]


def setting(
    default: Any,
    text: str,
    *,
    flag: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    runtime: bool = False,
    path: bool = False,
) -> Any:
    """One field of a group of settings.

    Args:
        default: the value without the flag.
        text: what `--help` and docs/settings.md say about it.
        flag: the name of its flag; None for the name of the field.
        low: the smallest value that is allowed.
        high: the largest value that is allowed.
        choices: the only values that are allowed.
        runtime: whether it may differ when a run is resumed.
        path: whether it names a file or a folder.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "flag": flag,
            "help": text,
            "low": low,
            "high": high,
            "choices": choices,
            "runtime": runtime,
            "path": path,
        },
    )
