"""Loads exported SavedModels."""

from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the tokenizer)

from mirrorgan_tf.downloads import find_placeholder
from mirrorgan_tf.errors import UserError, first_line

__all__ = ["load_saved_model"]


def load_saved_model(
    path: str | Path, signature: str, *, flag: str = "saved_model"
) -> tuple[tf.Module, Path]:
    """Loads a SavedModel.

    Args:
        path: folder of a version, or of all versions, of which the newest is used.
        signature: name of a signature that the model must have.
        flag: the command's flag for the path, for errors.

    Returns:
        The loaded object and the version's folder.

    Raises:
        UserError: there is no SavedModel, or one without the signature.
    """
    folder = _newest(Path(path), flag)
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = find_placeholder(folder, "**/*") or first_line(error)
        raise UserError(f"--{flag}={path}: can't be loaded ({reason})") from None
    if signature not in loaded.signatures:
        raise UserError(
            f"--{flag}={path}: has no signature {signature}; export it with "
            "`mirrorgan export`"
        )
    return loaded, folder


def _newest(path, flag):
    if (path / "saved_model.pb").is_file():
        return path
    versions = path.glob("[0-9]*") if path.is_dir() else ()
    versions = [
        version
        for version in versions
        if version.name.isdecimal() and (version / "saved_model.pb").is_file()
    ]
    if not versions:
        raise UserError(
            f"--{flag}={path}: no SavedModel there; give a folder that "
            "`mirrorgan export` wrote"
        )
    return max(versions, key=lambda version: int(version.name))
