"""Reads regular files, writes files and folders atomically, and locks folders."""

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
    "atomic_file",
    "atomic_folder",
    "file_sha256",
    "is_special",
    "lock_folder",
    "locked_folder",
    "open_regular",
    "read_bytes",
    "write_atomically",
]

_PARTIAL = ".partial-"


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file for reading.

    Reading a pipe without a writer would block for ever, and a device such as
    /dev/zero never ends. A user's folder may contain links to either.

    Raises:
        OSError: it can't be opened, or is a pipe, a device or a socket.
    """

    def open_without_blocking(name, flags):
        descriptor = os.open(name, flags | os.O_NONBLOCK)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return descriptor
        os.close(descriptor)
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise OSError(errno.EINVAL, f"Is {kind}, not a regular file", name)

    try:
        return open(path, "rb", opener=open_without_blocking)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(
                errno.EINVAL, "Is a socket or a device, not a regular file", str(path)
            ) from None
        raise


def is_special(path: str | Path) -> bool:
    """Whether a path, or the target of a link, is a pipe, a device or a socket."""
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
    """Locks a folder until the descriptor is closed or the process ends.

    Returns:
        The descriptor.

    Raises:
        BlockingIOError: another process has locked it.
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
def locked_folder(path: Path, *, flag: str, activity: str) -> Iterator[None]:
    """Creates a folder if it does not exist, and locks it while the block runs.

    Args:
        path: the folder.
        flag: name of the flag that was set to this folder; part of error messages.
        activity: what the process does in it, such as "training"; likewise.

    Raises:
        UserError: another process has locked it, or it cannot be written.
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
def atomic_folder(target: Path) -> Iterator[Path]:
    """Writes a folder atomically: `target` appears complete, or not at all.

    The block writes to a hidden folder beside `target`, which is renamed when the
    block ends. Hidden folders of processes that were killed are removed first.

    Yields:
        The path at which the block creates the folder.

    Raises:
        OSError: it cannot be written. EEXIST or ENOTEMPTY: `target` exists and is not
            an empty folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    try:
        lock = lock_folder(partial)
        try:
            # Only the owner may read the folder of mkdtemp, so a subfolder is renamed.
            complete = partial / "complete"
            yield complete
            os.rename(complete, target)
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(parent):
    """Removes partial folders that no process has locked: their writers were killed."""
    for folder in parent.glob(f"{_PARTIAL}*/"):
        try:
            lock = lock_folder(folder)
        except OSError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Writes a file atomically: readers get the old content or the new one.

    The block writes to another file in the same folder, which replaces `path` when the
    block ends. If the block fails or the process is killed, `path` does not change.

    Args:
        path: the file.
        sync: wait until the content is on the disk, so that a power failure can't
            damage the file. False is faster for thousands of small files.

    Yields:
        The path to write to. It has the suffix of `path`.

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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes bytes, or text as UTF-8, to an `atomic_file`."""
    if isinstance(content, str):
        content = content.encode()
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def _sync(path):
    """Waits until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
