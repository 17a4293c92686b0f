"""Checkpoints of a stage: saving, taking up again, reading parts."""

from pathlib import Path

import keras
import tensorflow as tf

from mirrorgan_tf.commands import UserError

__all__ = ["StageCheckpoints", "latest_checkpoint", "restore_part", "saved_step"]

# TensorFlow's reader makes an IndexError of a file that ends too soon.
_UNREADABLE = (tf.errors.OpError, IndexError)
_STEP_KEY = "step/.ATTRIBUTES/VARIABLE_VALUE"


class StageCheckpoints:
    """The checkpoints of one stage in one folder."""

    def __init__(self, folder: Path, objects: dict, *, keep: int):
        """Takes trackables by name; call inside the strategy's scope."""
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self._checkpoint = tf.train.Checkpoint(step=self.step, **_trackables(objects))
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder), max_to_keep=keep
        )

    def restore(self) -> int:
        """Loads the latest checkpoint, if any; returns the steps done.

        Raises:
            UserError: it is damaged or of other networks.
        """
        latest = self._manager.latest_checkpoint
        if latest:
            _restore(self._checkpoint, latest, partial=False)
        return int(self.step.numpy())

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self._manager.save(checkpoint_number=int(self.step.numpy()))


def saved_step(folder: Path) -> int:
    """Steps done by the latest checkpoint in a folder; 0 where there is none."""
    latest = tf.train.latest_checkpoint(str(folder))
    if latest is None:
        return 0
    try:
        return int(tf.train.load_variable(latest, _STEP_KEY))
    except (*_UNREADABLE, ValueError) as error:
        raise _unreadable(latest, error) from None


def latest_checkpoint(folder: Path) -> str:
    """The latest checkpoint of a stage that has been trained.

    Raises:
        UserError: there is none.
    """
    latest = tf.train.latest_checkpoint(str(folder))
    if latest:
        return latest
    if (folder / "checkpoint").is_file():
        raise UserError(
            f"{folder}: the checkpoint that its file 'checkpoint' names is not there; "
            "bring its files back, or remove the folder and train the stage again"
        )
    raise UserError(
        f"{folder}: no checkpoint; train stage {folder.name} first "
        f"(python -m mirrorgan_tf.train --stages={folder.name} ...)"
    )


def restore_part(folder: Path, objects: dict) -> None:
    """Loads some of a stage's objects from its latest checkpoint.

    Raises:
        UserError: there is none, it is damaged or of other networks.
    """
    checkpoint = tf.train.Checkpoint(**_trackables(objects))
    _restore(checkpoint, latest_checkpoint(folder), partial=True)


def _trackables(objects):
    """Keras models as lists of all their variables, other objects as they are.

    TensorFlow does not see Keras layers that stand in a list: given a model, it
    saves the rest and says nothing.
    """
    if isinstance(objects, dict):
        return {name: _trackables(value) for name, value in objects.items()}
    if isinstance(objects, list | tuple):
        return [_trackables(value) for value in objects]
    if isinstance(objects, keras.Model):
        # Paths hold counters that depend on what was built before; order doesn't.
        return [variable.value for variable in objects.variables]
    return objects


def _restore(checkpoint, path, *, partial):
    try:
        status = checkpoint.restore(path)
        if partial:
            status.expect_partial().assert_existing_objects_matched()
        else:
            status.assert_consumed()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"{path}: the checkpoint is of other networks ({_first_line(error)}); "
            "use the flags it was made with, or another --workdir"
        ) from None
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path, error):
    return UserError(
        f"{path}: the checkpoint cannot be read ({_first_line(error)}); remove its "
        "files and its name in the file 'checkpoint' to go on from the one before"
    )


def _first_line(error):
    return str(error).strip().splitlines()[0][:200]
