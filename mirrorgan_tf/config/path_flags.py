"""Flags that name files and folders: `~` is expanded, quotes are refused."""

import os
from typing import Any

from absl import flags

__all__ = [
    "PATH",
    "define_multi_path",
    "define_path",
    "define_path_list",
    "expand_path",
]


def expand_path(text: str) -> str:
    """The path that a user has written, with `~` and `~name` expanded.

    Shells expand neither in `--name=~/...`, and flagfiles know no quotes.

    Raises:
        ValueError: the path has quotes around it, or no such user has a home folder.
    """
    if text and (text[0] in "\"'" or text[-1] in "\"'"):
        raise ValueError(
            "has quotes at its ends, which would be part of the name; leave them out, "
            "as spaces need none in a flagfile"
        )
    expanded = os.path.expanduser(text)
    if text.startswith("~") and expanded == text:
        raise ValueError(
            "has no home folder that '~' could stand for; write the folder's full "
            "name, or ./~ for a name that begins with '~'"
        )
    return expanded


# What these flags call their values.
PATH = "a path"


class _PathParser(flags.ArgumentParser):
    syntactic_help = PATH

    def parse(self, argument: str) -> str:
        return expand_path(argument)


class _PathListParser(flags.ListParser):
    def parse(self, argument: str | list[str]) -> list[str]:
        return [expand_path(path) for path in super().parse(argument)]


def define_path(name: str, default: str | None, text: str, **options: Any) -> None:
    """As `flags.DEFINE_string`."""
    flags.DEFINE(_PathParser(), name, default, text, **options)


def define_multi_path(name: str, default: list, text: str, **options: Any) -> None:
    """As `flags.DEFINE_multi_string`."""
    flags.DEFINE_multi(
        _PathParser(), flags.ArgumentSerializer(), name, default, text, **options
    )


def define_path_list(name: str, default: list, text: str, **options: Any) -> None:
    """As `flags.DEFINE_list`."""
    flags.DEFINE(
        _PathListParser(),
        name,
        default,
        text,
        serializer=flags.CsvListSerializer(","),
        **options,
    )
