"""What reaches a terminal: control characters from outside are shown, not obeyed.

File names, captions, servers' errors and names in checkpoints may hold anything. An
escape sequence in them could clear the screen or change its title, a bidirectional
override could show `gpj.exe` as `exe.jpg`, a line break could imitate a line of ours.
"""

import contextlib
import shutil
import sys
import threading
import traceback
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

from absl import flags, logging

__all__ = [
    "StatusLine",
    "escape_controls",
    "escaped_streams",
    "logs_json",
    "one_line",
    "status_line",
]

# Control, format (bidirectional among them), surrogate, line and paragraph separator.
_ESCAPED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Persian, Indian scripts and emoji are spelled with these two.
_JOINERS = "\u200c\u200d"
_ERASE_LINE = "\r\x1b[K"


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Writes characters that a terminal obeys as `\x1b`, `\u202e` and the like.

    Args:
        text: anything.
        keep: control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        # ascii() puts the escape between quotes.
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


def logs_json() -> bool:
    """Whether log lines are for programs: `--log_format=json`."""
    return "log_format" in flags.FLAGS and flags.FLAGS.log_format == "json"


class StatusLine:
    """A line that stays below everything else that is printed, and is rewritten."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._is_shown = False
        self._lock = threading.RLock()

    def show(self, text: str) -> None:
        """Replaces the line; "" removes it."""
        with self._lock:
            self._erase()
            self._text = one_line(text, shutil.get_terminal_size().columns - 1)
            self._draw()

    def write_above(self, stream: TextIO, text: str) -> None:
        """Writes a text to a stream of the same terminal."""
        with self._lock:
            self._erase()
            stream.write(text)
            # Only whole lines: `print` writes its line break separately.
            if text.endswith("\n"):
                self._draw()

    def _erase(self):
        if self._is_shown:
            self._stream.write(_ERASE_LINE)
            self._stream.flush()
        self._is_shown = False

    def _draw(self):
        if self._text:
            self._stream.write(self._text)
            self._stream.flush()
            self._is_shown = True


def status_line() -> StatusLine | None:
    """The status line of a command on a terminal; None for files, pipes and JSON."""
    if logs_json() or not isinstance(sys.stderr, _EscapedStream):
        return None
    return sys.stderr.status if sys.stderr.isatty() else None


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """Escapes what is printed and logged within, but for line breaks and tabs.

    An exception that ends it is printed as Python prints it, and the process exits.
    """
    out, error = sys.stdout, sys.stderr
    handler = logging.get_absl_handler().python_handler
    status = StatusLine(error)
    # Either is None if it was closed when Python started.
    sys.stdout, sys.stderr = (
        stream and _EscapedStream(stream, status) for stream in (out, error)
    )
    logs_to_stderr = handler.stream is error
    if logs_to_stderr:
        handler.setStream(sys.stderr)
    try:
        yield
    except Exception:
        # Python itself would print it later, to the original streams.
        traceback.print_exc()
        sys.exit(1)
    finally:
        status.show("")
        sys.stdout, sys.stderr = out, error
        if logs_to_stderr:
            handler.setStream(error)


class _EscapedStream:
    """A text stream that escapes what is written; all else is the stream's own."""

    def __init__(self, stream: TextIO, status: StatusLine) -> None:
        self._stream = stream
        self.status = status

    def write(self, text: str) -> int:
        self.status.write_above(self._stream, escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
