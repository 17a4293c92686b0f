"""Flagfiles with a byte order mark, which editors write and absl does not know."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from mirrorgan_tf.encoding import decode_text

__all__ = ["expand_marked_flagfiles"]

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def expand_marked_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Puts the lines of flagfiles that begin with a byte order mark in their place.

    Args:
        arguments: of a command, its name not among them.

    Raises:
        UserError: such a file can't be decoded; names its line.
    """
    expanded = []
    for argument in arguments:
        name, _, path = argument.partition("=")
        content = _read_if_marked(path) if name.lstrip("-") == "flagfile" else b""
        if not content:
            expanded.append(argument)
            continue
        lines = map(str.strip, decode_text(content, path).splitlines())
        expanded += [
            line for line in lines if line and not line.startswith(("#", "//"))
        ]
    return expanded


def _read_if_marked(path: str) -> bytes:
    """The content of a file with a mark; b"" for others, which are left to absl."""
    try:
        content = Path(path).expanduser().read_bytes()
    except (OSError, RuntimeError):
        return b""
    return content if content.startswith(_MARKS) else b""
