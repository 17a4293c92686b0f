"""Reads regular files only, writes files whole or not at all, and locks folders."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from absl import logging

from mirrorgan_tf.errors import UserError

__all__ = [
    "file_sha256",
    "hold_folder",
    "is_special",
    "lock_folder",
    "open_regular",
    "read_bytes",
    "whole_file",
    "whole_folder",
    "write_whole",
]

_PARTIAL = ".partial-"


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file for reading.

    A pipe without a writer would block for ever, and a device such as /dev/zero has
    no end; a link to one may lie among a user's files.

    Raises:
        OSError: it can't be opened, or is a pipe, a device or a socket.
    """

    def open_at_once(name, flags):
        descriptor = os.open(name, flags | os.O_NONBLOCK)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return descriptor
        os.close(descriptor)
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise OSError(errno.EINVAL, f"Is {kind}, not a regular file", name)

    try:
        return open(path, "rb", opener=open_at_once)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(
                errno.EINVAL, "Is a socket or a device, not a regular file", str(path)
            ) from None
        raise


def is_special(path: str | Path) -> bool:
    """Whether a path leads to a pipe, a device or a socket."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a regular file; OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def file_sha256(path: str | Path) -> str:
    """A file's SHA-256 in hexadecimal; OSError if it can't be read."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_folder(folder: Path) -> int:
    """Locks a folder; closing the descriptor, or the end of the process, unlocks it.

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


@contextlib.contextmanager
def hold_folder(path: Path, *, flag: str, activity: str) -> Iterator[None]:
    """Makes a folder if there is none, and locks it for the block.

    Args:
        path: the folder.
        flag: the flag that names it, for errors.
        activity: what is done in it, for errors, such as "training".

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(path)
    except BlockingIOError:
        raise UserError(
            f"--{flag}={path}: another {activity} is running in it; wait for its end, "
            f"stop it, or choose another --{flag}"
        ) from None
    except OSError as error:
        if not path.is_dir():
            raise UserError(f"--{flag}={path}: cannot be written: {error}") from None
        logging.warning(
            "%s cannot be locked against a second %s: %s", path, activity, error
        )
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to make, which gets its name when the block ends: whole or not at all.

    It is made under a hidden name beside `target`; what killed processes left there is
    removed.

    Yields:
        The path to make it at.

    Raises:
        OSError: it cannot be written; EEXIST or ENOTEMPTY: `target` is there, and
            not as an empty folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    try:
        lock = lock_folder(partial)
        try:
            # A subfolder, because only the owner can read the folder of mkdtemp.
            whole = partial / "whole"
            yield whole
            os.rename(whole, target)
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(parent):
    """Removes the partial folders of processes that are no more: nobody locks them."""
    for folder in parent.glob(f"{_PARTIAL}*/"):
        try:
            lock = lock_folder(folder)
        except OSError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A file to write, which gets its name when the block ends: whole or not at all.

    An error, or the end of the process, leaves the file as it was.

    Args:
        path: the file.
        sync: wait until it is on the disk, so that a power failure leaves it whole too.
            Without, thousands of small files are written faster.

    Yields:
        A path in the same folder, with the same ending, to write to.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f"{_PARTIAL}{path.name}")
    try:
        yield partial
        if sync:
            _sync(partial)
        os.replace(partial, path)
        if sync:
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes bytes, or text as UTF-8, by `whole_file`."""
    if isinstance(content, str):
        content = content.encode()
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _sync(path):
    """Waits until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
