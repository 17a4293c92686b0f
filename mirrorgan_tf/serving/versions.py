"""Saves SavedModels in numbered version folders, as TensorFlow Serving reads them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder
from mirrorgan_tf.logs import quiet
from mirrorgan_tf.serving.graph_check import check_graph

__all__ = ["choose_version", "save_version"]


def choose_version(out: Path, version: int | None = None) -> int:
    """Checks a version, or chooses the number after the highest version in `out`.

    Raises:
        UserError: the version is below 1 or exists already, or `out` is no folder or
            can't be read.
    """
    try:
        names = os.listdir(out)
    except FileNotFoundError:
        names = []
    except NotADirectoryError:
        raise UserError(
            f"--out={out}: not a folder; give the folder of all versions"
        ) from None
    except OSError as error:
        raise UserError(f"--out={out}: can't be read ({error})") from None
    present = {int(name): name for name in names if name.isascii() and name.isdigit()}
    if version is None:
        return max(present, default=0) + 1
    if version < 1:
        raise UserError(f"--version={version}: must be at least 1")
    if version in present:
        raise UserError(
            f"--version={version}: {out / present[version]} exists and is never"
            " overwritten; leave out --version to take the next one"
        )
    return version


def save_version(
    module: tf.Module,
    signatures: dict,
    out: Path,
    version: int,
    *,
    xla: bool = False,
    write_extra_files: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Writes `out`/`version` as a SavedModel, completely or not at all.

    It is written under a hidden name in `out`, which servers ignore, and renamed at the
    end. What exports that were killed left in `out` is removed.

    Args:
        module: the module to save, with everything it tracks.
        signatures: name -> function to serve.
        out: folder of all versions; created if missing.
        version: from `choose_version`.
        xla: see `check_graph`.
        write_extra_files: writes further files into the folder before it is renamed.

    Returns:
        The version's folder.

    Raises:
        UserError: see `check_graph`; or the folder exists or can't be written.
    """
    target = out / str(version)
    try:
        with atomic_folder(target) as folder:
            with quiet():
                tf.saved_model.save(module, str(folder), signatures=signatures)
            check_graph(folder, xla=xla)
            write_extra_files(folder)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise UserError(
                f"{target}: another export has written it; repeat the command"
            ) from None
        raise UserError(f"--out={out}: can't be written ({error})") from None
    except tf.errors.OpError as error:
        raise UserError(f"--out={out}: can't be written ({error.message})") from None
    return target
