"""Text from strangers on a terminal: control characters are shown, not obeyed.

File names, captions, servers' errors and names in checkpoints may hold anything. An
escape sequence in them could clear the screen or change its title, a bidirectional
override could show `gpj.exe` as `exe.jpg`, a line break could forge a line of ours.
"""

import contextlib
import sys
import traceback
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

from absl import logging

__all__ = ["escape_controls", "escaped_streams", "one_line"]

# Control, format (bidirectional among them), surrogate, line and paragraph separator.
_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Persian, Indian scripts and emoji are spelled with these two.
_JOINERS = "\u200c\u200d"


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Writes characters that a terminal obeys as `\x1b`, `\u202e` and the like.

    Args:
        text: anything.
        keep: control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        # ascii() writes the escape between quotes.
        ascii(character)[1:-1]
        if unicodedata.category(character) in _ESCAPED_CATEGORIES
        and character not in keep
        and character not in _JOINERS
        else character
        for character in text
    )


def one_line(text: str, longest: int = 2000) -> str:
    """A text without line breaks and other control characters, cut if it is long."""
    text = escape_controls(text[: longest + 1], keep="")
    return text if len(text) <= longest else text[: longest - 1] + "…"


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """Escapes what is printed and logged within, but for line breaks and tabs.

    An exception that ends it is printed as Python prints it, and the process exits.
    """
    out, error = sys.stdout, sys.stderr
    handler = logging.get_absl_handler().python_handler
    # Either is None if it was closed when Python started.
    sys.stdout, sys.stderr = (
        stream and _EscapedStream(stream) for stream in (out, error)
    )
    logs_to_stderr = handler.stream is error
    if logs_to_stderr:
        handler.setStream(sys.stderr)
    try:
        yield
    except Exception:
        # Python itself would print it when the streams are its own again.
        traceback.print_exc()
        sys.exit(1)
    finally:
        sys.stdout, sys.stderr = out, error
        if logs_to_stderr:
            handler.setStream(error)


class _EscapedStream:
    """A text stream that escapes what is written; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
