"""Flags for files and folders: `~` is expanded, quotes are refused."""

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

# The kind of value that `--help` names for these flags.
PATH = "a path"


def expand_path(text: str) -> str:
    """Replaces `~` and `~name` at the beginning of a path by home folders.

    Shells do not do that in `--name=~/...`, nor do flagfiles.

    Raises:
        ValueError: the path has quotes around it, or there is no such user.
    """
    if text and (text[0] in "\"'" or text[-1] in "\"'"):
        raise ValueError(
            "the quotes would be part of the name; leave them out (a flagfile needs "
            "none for spaces)"
        )
    expanded = os.path.expanduser(text)
    if text.startswith("~") and expanded == text:
        raise ValueError(
            "there is no home folder for '~'; write the full path, or ./~ for a name "
            "that begins with '~'"
        )
    return expanded


class _PathParser(flags.ArgumentParser):
    syntactic_help = PATH

    def parse(self, argument: str) -> str:
        return expand_path(argument)


class _PathListParser(flags.ListParser):
    def parse(self, argument: str | list[str]) -> list[str]:
        return [expand_path(path) for path in super().parse(argument)]


def define_path(name: str, default: str | None, text: str, **options: Any) -> None:
    """Defines a flag with one path, like `flags.DEFINE_string`."""
    flags.DEFINE(_PathParser(), name, default, text, **options)


def define_multi_path(name: str, default: list, text: str, **options: Any) -> None:
    """Defines a flag that may be repeated, like `flags.DEFINE_multi_string`."""
    flags.DEFINE_multi(
        _PathParser(), flags.ArgumentSerializer(), name, default, text, **options
    )


def define_path_list(name: str, default: list, text: str, **options: Any) -> None:
    """Defines a flag with paths separated by commas, like `flags.DEFINE_list`."""
    flags.DEFINE(
        _PathListParser(),
        name,
        default,
        text,
        serializer=flags.CsvListSerializer(","),
        **options,
    )
