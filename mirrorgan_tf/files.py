"""Files that are whole or not there, and folders that one process holds."""

import fcntl
import os
from pathlib import Path

__all__ = ["lock_folder", "move_whole", "write_whole"]


def lock_folder(folder: Path) -> int:
    """Descriptor that holds a folder's lock; the lock dies with its process.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the folder cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_whole(path: Path, text: str) -> None:
    """Writes UTF-8 text; a process that is killed leaves the file as it was.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text, encoding="utf-8", newline="\n")
    move_whole(partial, path)


def move_whole(partial: Path, path: Path) -> None:
    """Gives a written file its name, once its bytes are on the disk."""
    _sync(partial)
    os.replace(partial, path)
    _sync(path.parent)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
