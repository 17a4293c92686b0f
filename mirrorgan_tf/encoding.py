"""Decodes users' text files.

They are UTF-8, or UTF-16 or UTF-32 with a byte order mark. NUL characters are refused,
because they come from UTF-16 without a byte order mark, or from a damaged file.
"""

import codecs
from pathlib import Path

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["REPLACEMENT", "decode_lines", "decode_text", "read_text"]

# Decoders write this character in the place of bytes that they can't decode.
REPLACEMENT = "\ufffd"

# UTF-32-LE comes before UTF-16-LE, because its mark begins with UTF-16-LE's.
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
    """Decodes the content of a file, and removes its byte order mark.

    Args:
        content: the bytes.
        source: the name of the file or flag, for errors.
        encoding: encoding of text without a byte order mark.
        errors: "strict" refuses undecodable bytes, "replace" replaces them by U+FFFD.

    Raises:
        UserError: there are undecodable bytes or NUL characters; it names the line.
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
            f"{source}: line {_last_line_number(before)}: bytes that are not "
            f"{encoding}; save the file as UTF-8"
        ) from None
    before, nul, _ = text.partition("\0")
    if nul:
        raise UserError(
            f"{source}: line {_last_line_number(before)}: a NUL character; save the "
            "file as UTF-8 (it may be UTF-16 without a byte order mark)"
        )
    return text


def decode_lines(content: bytes, source: str | Path) -> tuple[list[str], list[int]]:
    """Decodes lines of captions; undecodable bytes become U+FFFD.

    Returns:
        The lines, and the numbers, from 1, of the lines that contain a U+FFFD.

    Raises:
        UserError: there is a NUL character; it names the line.
    """
    lines = decode_text(content, source, errors="replace").splitlines()
    broken = [number for number, line in enumerate(lines, 1) if REPLACEMENT in line]
    return lines, broken


def read_text(path: str | Path) -> str:
    """Reads and decodes a file; OSError if it can't be read, or as `decode_text`."""
    return decode_text(read_bytes(path), path)


def _last_line_number(text):
    return len(f"{text}.".splitlines())
