"""The loop around every stage: steps, log lines, pictures, checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.pictures import save_png
from mirrorgan_tf.training.checkpoints import StageCheckpoints

__all__ = ["Observation", "Stage", "compile_step", "run_stage"]


class Stage(Protocol):
    """What the loop asks of a stage."""

    name: str
    checkpointed: dict

    def step(self, batch: dict, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates the models; returns this replica's shares of the losses."""


# Scalars and uint8 pictures (H, W, 3) by name, of the models as they are now.
Observation = tuple[dict[str, float], dict[str, np.ndarray]]


def compile_step(
    stage: Stage, strategy: tf.distribute.Strategy, step: tf.Variable, *, jit: bool
) -> Callable[[Iterator], dict[str, tf.Tensor]]:
    """One traced step over the global batch; returns its losses."""
    replica_step = tf.function(stage.step, jit_compile=True) if jit else stage.step
    after_step = getattr(stage, "after_step", None)

    @tf.function
    def train_step(iterator):
        shares = strategy.run(replica_step, (next(iterator), step.read_value()))
        if after_step is not None:
            after_step(step.read_value())
        step.assign_add(1)
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, share, axis=None)
            for name, share in shares.items()
        }

    return train_step


def run_stage(
    stage: Stage,
    *,
    config: Config,
    strategy: tf.distribute.Strategy,
    workdir: Path,
    steps: int,
    batch_size: int,
    make_dataset: Callable[[int], tf.data.Dataset],
    observe: Callable[[], Observation],
) -> None:
    """Trains a stage to `steps` steps, from its latest checkpoint if it has one.

    Args:
        stage: built under the strategy.
        config: the run's.
        strategy: that the models were built under.
        workdir: gets `<stage>/` checkpoints, `logs/<stage>/`, `pictures/`.
        steps: where to stop, counted from the stage's beginning.
        batch_size: global, for images/s.
        make_dataset: first step to global batches from there on.
        observe: called for pictures.

    Raises:
        UserError: a loss is not finite, or a checkpoint does not fit.
    """
    with strategy.scope():
        checkpoints = StageCheckpoints(
            workdir / stage.name, stage.checkpointed, keep=config.keep_checkpoints
        )
        start = checkpoints.restore()
    if start:
        logging.info("%s: going on from step %d", stage.name, start)
    writer = tf.summary.create_file_writer(str(workdir / "logs" / stage.name))
    train_step = compile_step(stage, strategy, checkpoints.step, jit=config.jit_compile)
    batches = iter(strategy.experimental_distribute_dataset(make_dataset(start)))
    progress = _Progress(stage.name, start, steps, batch_size)
    unread = []
    with writer.as_default():
        for done in range(start + 1, steps + 1):
            unread.append(train_step(batches))
            last = done == steps
            to_save = last or done % config.checkpoint_every == 0
            to_show = last or done == start + 1 or done % config.picture_every == 0
            if to_save or to_show or done % config.log_every == 0:
                means = _read_losses(stage.name, unread, done)
                unread = []
                progress.report(done, means)
            if to_save:
                checkpoints.save()
            if to_show:
                _show(observe(), stage.name, workdir, done)
                progress.restart(done)
    writer.close()


def _read_losses(stage, unread, done):
    """Means since the last call; stops at the first that is not finite."""
    values = {
        name: np.array([float(losses[name]) for losses in unread]) for name in unread[0]
    }
    finite = np.isfinite(list(values.values()))
    if not finite.all():
        first = int(np.argmin(finite.all(axis=0)))
        names = [
            name for name, row in zip(values, finite, strict=True) if not row[first]
        ]
        raise UserError(
            f"{stage}: loss {', '.join(names)} is not finite at step "
            f"{done - len(unread) + first + 1}; the last checkpoint is intact: lower "
            "the learning rate or change --seed in a new --workdir"
        )
    return {name: float(row.mean()) for name, row in values.items()}


def _show(observation, stage, workdir, done):
    scalars, pictures = observation
    for name, value in scalars.items():
        tf.summary.scalar(f"{stage}/{name}", value, step=done)
    if scalars:
        logging.info(
            "%s %d: %s",
            stage,
            done,
            "  ".join(f"{name} {value:.3f}" for name, value in scalars.items()),
        )
    for name, picture in pictures.items():
        tf.summary.image(f"{stage}/{name}", picture[None], step=done)
        save_png(picture, workdir / "pictures" / f"{stage}_{name}_{done:06d}.png")


class _Progress:
    """Log lines with speed and the time that is left."""

    def __init__(self, stage, start, steps, batch_size):
        self._stage = stage
        self._steps = steps
        self._batch_size = batch_size
        self.restart(start)

    def restart(self, done):
        """Leaves out of the speed what was no training (tracing, pictures)."""
        self._since = time.monotonic()
        self._since_step = done

    def report(self, done, losses):
        """Logs and summarises the means of the losses."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        rate = (done - self._since_step) / seconds
        left = (self._steps - done) / rate if rate else math.inf
        for name, value in losses.items():
            tf.summary.scalar(f"{self._stage}/{name}", value, step=done)
        images = rate * self._batch_size
        tf.summary.scalar(f"{self._stage}/images_per_second", images, step=done)
        logging.info(
            "%s %d/%d | ETA %s | %.1f images/s | %s",
            self._stage,
            done,
            self._steps,
            _clock(left),
            images,
            "  ".join(f"{name} {value:.3f}" for name, value in losses.items()),
        )


def _clock(seconds):
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
