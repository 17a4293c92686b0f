"""Numbered version folders, as TensorFlow Serving reads them."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import logging

from mirrorgan_tf.commands import UserError

__all__ = ["choose_version", "folder_bytes", "save_version"]


def choose_version(out: Path, version: int | None = None) -> int:
    """The version to write: the one given, or one more than the highest there is.

    Raises:
        UserError: the version is below 1 or there already, or `out` is no folder.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={out}: not a folder; give the folder of all versions")
    names = os.listdir(out) if out.exists() else []
    present = {int(name) for name in names if name.isascii() and name.isdigit()}
    if version is None:
        return max(present, default=0) + 1
    if version < 1:
        raise UserError(f"--version={version}: must be at least 1")
    if version in present:
        raise UserError(
            f"--version={version}: {out / str(version)} is there already and is never"
            " overwritten; leave out --version to take the next one"
        )
    return version


def save_version(
    module: tf.Module,
    signatures: dict,
    out: Path,
    version: int | None = None,
    *,
    complete: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Writes `out`/`version` as a SavedModel: whole or not at all.

    It is written under a hidden name in `out`, which servers pass over, and renamed
    last.

    Args:
        module: what is saved, with all it tracks.
        signatures: functions to serve by name.
        out: folder of all versions; made where there is none.
        version: as for `choose_version`.
        complete: writes what else belongs into the folder, before it has its name.

    Returns:
        The version's folder.

    Raises:
        UserError: as `choose_version`, or the folder can't be written.
    """
    version = choose_version(out, version)
    target = out / str(version)
    partial = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
        # One deeper: mkdtemp's own folder can be read by its owner alone.
        whole = partial / "model"
        with _quiet():
            tf.saved_model.save(module, str(whole), signatures=signatures)
        complete(whole)
        os.rename(whole, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise UserError(
                f"{target}: written by another export in the meantime; export again"
            ) from None
        raise UserError(f"--out={out}: can't be written ({error})") from None
    except tf.errors.OpError as error:
        raise UserError(f"--out={out}: can't be written ({error.message})") from None
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return target


@contextlib.contextmanager
def _quiet():
    """Without what saving says of renamed inputs and shards: nobody can act on it."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
