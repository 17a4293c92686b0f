"""The loop around every stage: steps, log lines, pictures, checkpoints."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.best import Best
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.distribution import (
    distribute_batches,
    make_agreement,
    make_vote,
    num_workers,
)
from mirrorgan_tf.training.memory import hand_back
from mirrorgan_tf.training.progress import Board, Observation, Progress, StartUp
from mirrorgan_tf.training.signals import StopSignals

__all__ = ["Stage", "compile_step", "read_losses", "run_stage"]

# A prime: seeds of successive rollbacks are far apart.
_SEED_STRIDE = 1_000_003


class Stage(Protocol):
    """What the loop asks of a stage."""

    name: str
    checkpointed: dict

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates the models; returns this replica's shares of the losses.

        `seed` (2,) int32 is this step's: the run's seed and the step.
        """


class NotFinite(Exception):
    """A loss or a weight is NaN or infinite."""


def compile_step(
    stage: Stage,
    strategy: tf.distribute.Strategy,
    step: tf.Variable,
    *,
    jit: bool,
    seed: int | Callable[[], tf.Tensor] = 0,
) -> Callable[[Iterator], dict[str, tf.Tensor]]:
    """One traced step over the global batch; returns its losses.

    Args:
        stage: built under the strategy.
        strategy: that the models were built under.
        step: steps done; counted up.
        jit: compile with XLA.
        seed: the run's, or what gives it at each step.
    """
    replica_step = stage.step
    if jit:
        replica_step = tf.function(stage.step, jit_compile=True, autograph=False)
    after_step = getattr(stage, "after_step", None)

    # AutoGraph would rewrite every model that it comes by: a fifth of the start-up.
    @tf.function(autograph=False)
    def train_step(iterator):
        run_seed = tf.cast(seed() if callable(seed) else seed, tf.int32)
        step_seed = tf.stack([run_seed, tf.cast(step.read_value(), tf.int32)])
        shares = strategy.run(replica_step, (next(iterator), step_seed))
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
    make_dataset: Callable[
        [int, int, tf.distribute.InputContext | None], tf.data.Dataset
    ],
    observe: Callable[[], Observation],
    signals: StopSignals | None = None,
    start_up: StartUp | None = None,
) -> None:
    """Trains a stage to `steps` steps, from its latest checkpoint if it has one.

    Args:
        stage: built under the strategy.
        config: the run's.
        strategy: that the models were built under.
        workdir: gets `<stage>/` checkpoints, `logs/<stage>/`, `pictures/`.
        steps: where to stop, counted from the stage's beginning.
        batch_size: global, for images/s.
        make_dataset: first step and seed to global batches from there on, or to the
            rows of them that a worker has.
        observe: called for pictures.
        signals: asked after every step whether to stop.
        start_up: what took its time until here; reported after the first step.

    Raises:
        UserError: a loss is not finite, or a checkpoint does not fit.
        Stopped: a signal asked to; a checkpoint is written.
    """
    with strategy.scope():
        checkpoints = StageCheckpoints(
            workdir / stage.name, stage.checkpointed, keep=config.run.keep_checkpoints
        )
        start = checkpoints.restore()
    _check_start(start, strategy, workdir)
    if start:
        logging.info("%s: going on from step %d", stage.name, start)
    elif config.run.on_nan == "rollback":
        checkpoints.save()
    signals = signals or StopSignals()
    with strategy.scope():
        best = _best_of(stage, observe, config, workdir)
    loop = _Loop(stage, config, strategy, checkpoints, best, steps, batch_size, signals)
    board = Board(workdir, stage.name, writes=strategy.extended.should_save_summary)
    start_up = start_up or StartUp()
    start_up.mark("building")
    try:
        while start is not None:
            progress = Progress(
                stage.name,
                board,
                start=start,
                steps=steps,
                batch_size=batch_size,
                start_up=start_up,
            )
            start = loop.run(start, make_dataset, observe, progress)
    finally:
        board.close()


def _check_start(start, strategy, workdir):
    """Raises UserError where this worker's checkpoint is not the first worker's."""
    first = int(make_agreement(strategy)(start))
    if start != first:
        raise UserError(
            f"--workdir={workdir}: this worker has a checkpoint of step {start} there, "
            f"the first worker of step {first}; all must see the same folder"
        )


def _best_of(stage, observe, config, workdir):
    """Where the observer names a figure to judge by; else None."""
    figure = getattr(observe, "judged_by", None)
    if figure is None:
        return None
    return Best(
        workdir / stage.name / "best",
        stage.checkpointed,
        figure=figure,
        lowest=observe.lowest_is_best,
        patience_steps=config.run.patience * config.run.picture_every,
    )


class _Loop:
    """One stage on its way from a step to the last."""

    def __init__(
        self, stage, config, strategy, checkpoints, best, steps, batch_size, signals
    ):
        self._stage = stage
        self._config = config
        self._strategy = strategy
        self._checkpoints = checkpoints
        self._best = best
        self._steps = steps
        self._batch_size = batch_size
        self._signals = signals
        self._vote = make_vote(strategy) if num_workers(strategy) > 1 else None
        self._train_step = compile_step(
            stage,
            strategy,
            checkpoints.step,
            jit=config.run.jit_compile,
            seed=lambda: self._seed(checkpoints.rollbacks.read_value()),
        )

    def run(self, start, make_dataset, observe, progress) -> int | None:
        """To the last step, or until a rollback: then the step it went back to."""
        seed = int(self._seed(self._checkpoints.rollbacks.numpy()))
        batches = distribute_batches(
            self._strategy,
            functools.partial(make_dataset, start, seed),
            self._batch_size,
        )
        config, unread, votes, to_stop = self._config, [], [], False
        try:
            with self._signals.deferred():
                for done in range(start + 1, self._steps + 1):
                    unread.append(self._train_step(batches))
                    first, last = done == start + 1, done == self._steps
                    if first:
                        hand_back()
                    to_stop = self._to_stop(votes)
                    due = done % config.run.checkpoint_every == 0
                    # The last step is saved once it is judged.
                    to_save = not last and (to_stop or due)
                    to_judge = last or done % config.run.picture_every == 0
                    to_show = to_judge or first
                    if to_save or to_show or done % config.run.log_every == 0:
                        progress.report(done, read_losses(unread, done))
                        unread = []
                    if to_save:
                        self._save()
                        if to_stop:
                            break
                    if to_show:
                        observation = observe()
                        progress.show(observation, done)
                    if to_judge and self._is_over(observation[0], done):
                        self._save()
                        break
                self._agree_to_stop(to_stop)
        except NotFinite as error:
            return self._roll_back(error)
        return None

    def _to_stop(self, votes):
        """Whether a signal came: to this process, or to any worker a step ago."""
        if self._vote is None:
            return self._signals.requested
        # All stop after the same step. The newest vote would have to be waited for.
        votes.append(self._vote(self._signals.requested))
        return len(votes) > 1 and bool(votes.pop(0))

    def _agree_to_stop(self, to_stop):
        """All workers stop after a stage, or none: `to_stop` may be a step old."""
        if self._vote is not None:
            self._signals.requested = bool(
                self._vote(self._signals.requested | to_stop)
            )

    def _is_over(self, figures, done):
        """Whether the stage ends here; then its best weights are in place."""
        over = done == self._steps
        if self._best is not None:
            over = self._best.consider(figures, done) or over
            if over:
                self._best.take()
        if over:
            # Of a stage that ends early nothing is left to do either.
            self._checkpoints.step.assign(self._steps)
        return over

    def _save(self):
        broken = self._checkpoints.not_finite()
        if broken:
            step = int(self._checkpoints.step.numpy())
            raise NotFinite(f"{', '.join(broken)} not finite at step {step}")
        self._checkpoints.save()

    def _seed(self, rollbacks):
        return (self._config.run.seed + rollbacks * _SEED_STRIDE) % 2**31

    def _roll_back(self, error):
        used = int(self._checkpoints.rollbacks.numpy())
        allowed = (
            self._config.run.max_rollbacks
            if self._config.run.on_nan == "rollback"
            else 0
        )
        if used >= allowed:
            after = f" after {used} rollback(s)" if used else ""
            raise UserError(
                f"{self._stage.name}: {error}{after}; the last checkpoint is intact: "
                "lower the learning rate or change --seed in a new --workdir, or give "
                "--on_nan=rollback"
            )
        start = self._checkpoints.restore()
        self._checkpoints.rollbacks.assign(used + 1)
        logging.warning(
            "%s: %s; back to step %d with a new seed (rollback %d of %d)",
            self._stage.name,
            error,
            start,
            used + 1,
            allowed,
        )
        return start


def read_losses(unread: list[dict[str, tf.Tensor]], done: int) -> dict[str, float]:
    """Means of several steps' losses.

    Args:
        unread: losses by name, a step each.
        done: the last one's number.

    Raises:
        NotFinite: one is not, of the first such step.
    """
    names = list(unread[0])
    # One transfer, however many losses and steps.
    rows = tf.stack([tf.stack([losses[name] for name in names]) for losses in unread])
    rows = rows.numpy()
    finite = np.isfinite(rows)
    if not finite.all():
        first = int(np.argmin(finite.all(axis=1)))
        broken = [
            name for name, good in zip(names, finite[first], strict=True) if not good
        ]
        raise NotFinite(
            f"loss {', '.join(broken)} is not finite at step "
            f"{done - len(unread) + first + 1}"
        )
    means = rows.mean(axis=0, dtype=np.float64)
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}
