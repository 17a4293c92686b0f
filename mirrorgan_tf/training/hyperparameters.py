"""The settings of a run in TensorBoard's tab HParams."""

from pathlib import Path

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.training.progress import warn_if_unwritable

__all__ = ["write_hyperparameters"]


def write_hyperparameters(config: Config, workdir: Path) -> None:
    """Writes all settings of a run, which the losses of all its stages belong to.

    If the log can't be written, the training warns and continues.
    """
    # It takes a second to import.
    from tensorboard.plugins.hparams import api

    folder = workdir / "logs"
    with warn_if_unwritable(folder):
        with tf.summary.create_file_writer(str(folder)).as_default():
            # The dashboard counts a resumed training as the same trial.
            api.hparams(config.to_flags(), trial_id=str(workdir.resolve()))
