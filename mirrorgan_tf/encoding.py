"""Decodes text files of users, in whatever encoding their editor chose.

UTF-8 is expected; a byte order mark announces UTF-16 or UTF-32. NUL characters are
refused: they come from UTF-16 without a byte order mark, or from a damaged file.
"""

import codecs
from pathlib import Path

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["REPLACEMENT", "decode_lines", "decode_text", "read_text"]

# Stands for undecodable bytes, here or in the program that wrote the text.
REPLACEMENT = "\ufffd"

# UTF-32's little-endian mark begins with UTF-16's, and so must come first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
    (codecs.BOM_UTF8, "UTF-8"),
)


def decode_text(
    content: bytes,
    source: str | Path,
    *,
    encoding: str = "UTF-8",
    errors: str = "strict",
) -> str:
    """Decodes a file's bytes; the byte order mark is not part of the text.

    Args:
        content: the bytes.
        source: the name of the file or flag, for errors.
        encoding: of text without a byte order mark.
        errors: what to do about undecodable bytes: "strict", or "replace" by U+FFFD.

    Raises:
        UserError: names the line of undecodable bytes or of a NUL character.
    """
    for byte_order_mark, marked_encoding in _BYTE_ORDER_MARKS:
        if content.startswith(byte_order_mark):
            content = content[len(byte_order_mark) :]
            encoding = marked_encoding
            break
    try:
        text = content.decode(encoding, errors)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "ignore")
        raise UserError(
            f"{source}: line {_line_after(before)}: bytes that are not {encoding}; "
            "save the file as UTF-8"
        ) from None
    before, nul, _ = text.partition("\0")
    if nul:
        raise UserError(
            f"{source}: line {_line_after(before)}: a NUL character; save the file as "
            "UTF-8 (it may be UTF-16 without a byte order mark)"
        )
    return text


def decode_lines(content: bytes, source: str | Path) -> tuple[list[str], list[int]]:
    """Decodes lines of captions; undecodable bytes become U+FFFD.

    Returns:
        The lines, and the numbers, from 1, of those that hold a U+FFFD.

    Raises:
        UserError: names the line of a NUL character.
    """
    lines = decode_text(content, source, errors="replace").splitlines()
    broken = [number for number, line in enumerate(lines, 1) if REPLACEMENT in line]
    return lines, broken


def read_text(path: str | Path) -> str:
    """Reads a file by `decode_text`; OSError if it can't be read."""
    return decode_text(read_bytes(path), path)


def _line_after(text):
    return len(f"{text}.".splitlines())
