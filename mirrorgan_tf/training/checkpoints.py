"""Checkpoints of a stage: saving, resuming, reading parts.

A checkpoint is `ckpt-<step>.index` and its data files. It is written completely or not
at all. The newest one that can be read is used; TensorFlow keeps a checksum of every
tensor.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import keras
import tensorflow as tf
from absl import logging

from mirrorgan_tf.downloads import find_placeholder
from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.files import atomic_file, write_atomically
from mirrorgan_tf.logs import quiet

__all__ = ["StageCheckpoints", "check_trained", "restore_part", "saved_step"]

# TensorFlow's reader raises an IndexError for a truncated file.
_UNREADABLE = (tf.errors.OpError, IndexError)
_STEP_KEY = "step/.ATTRIBUTES/VARIABLE_VALUE"
_ROLLBACKS_KEY = "rollbacks/.ATTRIBUTES/VARIABLE_VALUE"
_NAME = re.compile(r"ckpt-(\d+)\.(index|data-.*)")
_PARTIAL = ".partial"
_STATE_FILE = "checkpoint"
_Result = TypeVar("_Result")


class StageCheckpoints:
    """The checkpoints of one stage in one folder."""

    def __init__(self, folder: Path, objects: dict, *, keep: int):
        """Takes trackables by name; call inside the strategy's scope."""
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.rollbacks = tf.Variable(0, dtype=tf.int64, name="rollbacks")
        self._folder = folder
        self._keep = keep
        self._objects = objects
        self._trackables = {"step": self.step, **_trackables(objects)}
        # Of several workers the first writes; the others only read their variables.
        self._writes = tf.distribute.get_strategy().extended.should_checkpoint

    def restore(self) -> int:
        """Loads the newest checkpoint that can be read; returns the steps done.

        Raises:
            UserError: none of several can be read, or it is of other networks.
        """
        _newest_readable(self._folder, self._restore)
        return int(self.step.numpy())

    def save(self) -> None:
        """Writes a checkpoint of the present step, then removes the oldest.

        Raises:
            UserError: it cannot be written; earlier ones are unchanged.
        """
        if not self._writes:
            with tempfile.TemporaryDirectory() as folder, quiet():
                self._all().write(f"{folder}/ckpt")
            return
        step = int(self.step.numpy())
        partial = self._folder / _PARTIAL
        try:
            shutil.rmtree(partial, ignore_errors=True)
            with quiet():
                self._all().write(str(partial / f"ckpt-{step}"))
            # The index comes last: without it, the files are no checkpoint.
            for path in sorted(partial.glob("ckpt-*"), key=lambda p: p.suffix):
                with atomic_file(self._folder / path.name) as whole:
                    os.replace(path, whole)
            self._remove_but_newest(step)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"{self._folder}: the checkpoint of step {step} cannot be written "
                f"({_shortened(error)}); earlier ones are intact: make room, then "
                "run the command again"
            ) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def not_finite(self) -> list[str]:
        """Names of the objects with a number that is NaN or infinite."""
        return [name for name, value in self._objects.items() if not _all_finite(value)]

    def _all(self):
        checkpoint = tf.train.Checkpoint(rollbacks=self.rollbacks, **self._trackables)
        # Creates this variable, which `restore` expects in the file.
        _ = checkpoint.save_counter
        return checkpoint

    def _restore(self, path):
        with_rollbacks = tf.train.load_checkpoint(path).has_tensor(_ROLLBACKS_KEY)
        # Checkpoints of early versions have no count of rollbacks.
        checkpoint = (
            self._all() if with_rollbacks else tf.train.Checkpoint(**self._trackables)
        )
        _restore(checkpoint, path, partial=False)

    def _remove_but_newest(self, step):
        """Removes all but the newest `keep` checkpoints up to this step.

        Later ones are left over from before, and could not be read.
        """
        paths = _checkpoints(self._folder)
        past = [path for path in paths if _number(path) <= step]
        kept = past[: self._keep]
        names = [f'"{path.name}"\n' for path in kept]
        write_atomically(
            self._folder / _STATE_FILE,
            f"model_checkpoint_path: {names[0]}"
            + "".join(f"all_model_checkpoint_paths: {name}" for name in names[::-1]),
        )
        for path in set(paths) - set(kept):
            for file in path.parent.glob(f"{path.name}.*"):
                file.unlink()


def saved_step(folder: Path) -> int:
    """Steps done by the newest checkpoint that can be read; 0 if there is none.

    Reads the whole checkpoint.

    Raises:
        UserError: none of several can be read.
    """

    def read(path):
        return int(_read_all(path).get_tensor(_STEP_KEY))

    return _newest_readable(folder, read) or 0


def check_trained(folder: Path) -> None:
    """Raises UserError unless the stage of this folder has a checkpoint."""
    if not _checkpoints(folder):
        raise UserError(
            f"{folder}: no checkpoint; train stage {folder.name} first "
            f"(mirrorgan train --stages={folder.name} ...)"
        )


def restore_part(folder: Path, objects: dict) -> int:
    """Loads part of a stage's objects from its newest readable checkpoint.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: there is none, none can be read, or it is of other networks.
    """
    check_trained(folder)
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(step=step, **_trackables(objects))
    _newest_readable(folder, lambda path: _restore(checkpoint, path, partial=True))
    return int(step.numpy())


def _checkpoints(folder: Path) -> list[Path]:
    """Paths without suffixes, newest first.

    Raises:
        UserError: the folder's list names checkpoints, and their files are gone.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = {int(match[1]) for name in names if (match := _NAME.fullmatch(name))}
    if _STATE_FILE in names and not numbers:
        raise UserError(
            f"{folder}: the checkpoints that its file '{_STATE_FILE}' names are not "
            "there; bring them back, or move the folder away and train the stage again"
        )
    return [folder / f"ckpt-{number}" for number in sorted(numbers, reverse=True)]


def _number(path):
    return int(path.name.removeprefix("ckpt-"))


def _newest_readable(folder: Path, read: Callable[[str], _Result]) -> _Result | None:
    """The result of `read` for the newest checkpoint that it can read, or None."""
    failure = None
    for path in _checkpoints(folder):
        try:
            result = read(str(path))
        except _UNREADABLE as error:
            reason = find_placeholder(folder, f"{path.name}.*") or _shortened(error)
            failure = f"{path}: the checkpoint cannot be read ({reason})"
            logging.warning("%s; trying an earlier one", failure)
        else:
            if failure:
                logging.warning("using %s instead", path)
            return result
    if failure:
        raise UserError(
            f"{failure}, nor can any earlier one; restore its files from a copy, or "
            f"move {folder} away to train the stage from the beginning"
        )
    return None


def _trackables(objects):
    """Keras models as lists of all their variables, other objects as they are.

    TensorFlow does not track Keras layers in a list: it would silently leave their
    variables out of the checkpoint.
    """
    if isinstance(objects, dict):
        return {name: _trackables(value) for name, value in objects.items()}
    if isinstance(objects, list | tuple):
        return [_trackables(value) for value in objects]
    if isinstance(objects, keras.Model):
        # A list, since names of Keras variables depend on the models built before.
        return [variable.value for variable in objects.variables]
    return objects


def _all_finite(value):
    if isinstance(value, list | tuple):
        return all(_all_finite(part) for part in value)
    return all(
        bool(tf.reduce_all(tf.math.is_finite(variable.value)))
        for variable in value.variables
        if variable.value.dtype.is_floating
    )


def _restore(checkpoint, path, *, partial):
    try:
        status = checkpoint.restore(path)
        if partial:
            status.expect_partial().assert_existing_objects_matched()
        else:
            status.assert_consumed()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"{path}: the checkpoint is of other networks ({_shortened(error)}); "
            "use the flags of its training, or another --workdir"
        ) from None
    except _UNREADABLE as error:
        try:
            _read_all(path)
        except _UNREADABLE:
            raise error from None
        raise UserError(
            f"{path}: the checkpoint cannot be restored ({_shortened(error)}), though "
            "its files are intact: keep them. Keras' floatx, a setting of keras.json, "
            f"is {keras.config.floatx()}; a run needs the one that it started with"
        ) from None


def _read_all(path):
    """Reads every tensor, which verifies its checksum; returns the reader."""
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
    return reader


def _shortened(error):
    line = first_line(error)
    # Long messages begin with a path and end with the reason.
    return line if len(line) < 200 else f"{line[:90]} ... {line[-90:]}"
