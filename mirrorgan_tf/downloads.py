"""Recognises what failed downloads leave in place of a file."""

import re
from pathlib import Path

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import open_regular

__all__ = ["check_weights_file", "describe_placeholder", "find_placeholder"]

_HEAD_BYTES = 512
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_ANNEX_POINTER = b"/annex/objects/"
_WEB_PAGE = re.compile(
    rb"(?is)(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|script|meta|\?xml)\b"
)
# Tabs and line breaks; all other control characters are signs of binary data.
_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f]+")


def describe_placeholder(head: bytes) -> str | None:
    """Recognises web pages and pointers of Git LFS or git-annex in place of a file.

    Args:
        head: the file's first bytes, or all of them.

    Returns:
        Words that follow the file's name in an error, or None for anything else.
    """
    head = head[:_HEAD_BYTES]
    if head.startswith(_LFS_POINTER):
        return (
            "is a Git LFS pointer, not the file itself; run `git lfs pull` in its "
            "repository"
        )
    if head.startswith(_ANNEX_POINTER):
        return (
            "is a git-annex pointer, not the file itself; run `git annex get` in its "
            "repository"
        )
    if _WEB_PAGE.match(head):
        return (
            "is a web page, not the file itself; open the link in a browser, and "
            "download the file from there"
        )
    return None


def find_placeholder(folder: Path, pattern: str) -> str | None:
    """The first placeholder among a folder's files, with its name, or None."""
    for path in sorted(folder.glob(pattern)):
        try:
            described = path.is_file() and describe_placeholder(_read_head(path))
        except OSError:
            continue
        if described:
            return f"{path}: {described}"
    return None


def check_weights_file(path: str | Path) -> None:
    """Refuses files that can't hold weights.

    Raises:
        UserError: the file can't be read, is empty, a placeholder or a text.
    """
    try:
        head = _read_head(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    if not head:
        raise UserError(f"{path}: is empty; download it again")
    described = describe_placeholder(head)
    if described:
        raise UserError(f"{path}: {described}")
    # The last character may be incomplete.
    text = head.decode("utf-8", "ignore")
    if _TEXT.fullmatch(text) and len(text.encode()) >= len(head) - 3:
        start = " ".join(text.split())[:60]
        raise UserError(f"{path}: is a text ({start!r}), not a file of weights")


def _read_head(path):
    with open_regular(path) as file:
        return file.read(_HEAD_BYTES)
