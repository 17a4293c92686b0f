"""Recognises files that a failed download leaves in the place of weights or data."""

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
# Text has no control characters except tabs and line breaks.
_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f]+")


def describe_placeholder(head: bytes) -> str | None:
    """Recognises web pages and pointers of Git LFS or git-annex.

    Args:
        head: the first bytes of a file, or all of them.

    Returns:
        The end of an error message that begins with the file's name; None for other
        files.
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
    """Describes the first placeholder among a folder's files; None if there is none."""
    for path in sorted(folder.glob(pattern)):
        try:
            description = path.is_file() and describe_placeholder(_read_head(path))
        except OSError:
            continue
        if description:
            return f"{path}: {description}"
    return None


def check_weights_file(path: str | Path) -> None:
    """Refuses files that can't contain weights.

    Raises:
        UserError: the file can't be read, is empty, a placeholder or a text file.
    """
    try:
        head = _read_head(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    if not head:
        raise UserError(f"{path}: is empty; download it again")
    description = describe_placeholder(head)
    if description:
        raise UserError(f"{path}: {description}")
    # Up to three bytes may be missing from the last character.
    text = head.decode("utf-8", "ignore")
    if _TEXT.fullmatch(text) and len(text.encode()) >= len(head) - 3:
        start = " ".join(text.split())[:60]
        raise UserError(f"{path}: is a text ({start!r}), not a file of weights")


def _read_head(path):
    with open_regular(path) as file:
        return file.read(_HEAD_BYTES)
