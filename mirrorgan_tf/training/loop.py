"""The loop around every stage: steps, log lines, pictures, checkpoints."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.best import BestWeights
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.distribution import (
    distribute_batches,
    make_agreement,
    make_vote,
    num_workers,
)
from mirrorgan_tf.training.memory import free_memory
from mirrorgan_tf.training.progress import Callback, StageProgress
from mirrorgan_tf.training.signals import StopSignals
from mirrorgan_tf.training.stage import Observer, Stage

__all__ = ["compile_step", "read_losses", "run_stage"]

# A prime: seeds of successive rollbacks are far apart.
_SEED_STRIDE = 1_000_003


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
        strategy: under which the models were built.
        step: number of steps done; incremented.
        jit: compile with XLA.
        seed: the run's seed, or a function that returns it at each step.
    """
    replica_step = stage.step
    if jit:
        replica_step = tf.function(stage.step, jit_compile=True, autograph=False)

    # AutoGraph would convert the code of every model: a fifth of the start-up time.
    @tf.function(autograph=False)
    def train_step(iterator):
        run_seed = tf.cast(seed() if callable(seed) else seed, tf.int32)
        step_seed = tf.stack([run_seed, tf.cast(step.read_value(), tf.int32)])
        shares = strategy.run(replica_step, (next(iterator), step_seed))
        stage.after_step(step.read_value())
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
    observers: Sequence[Observer] = (),
    signals: StopSignals | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Trains a stage to `steps` steps, from its latest checkpoint if it has one.

    Args:
        stage: built under the strategy.
        config: of the run.
        strategy: under which the models were built.
        workdir: gets `<stage>/` checkpoints, `logs/<stage>/`, `pictures/`.
        steps: last step, counted from the stage's beginning.
        batch_size: global, for images/s.
        make_dataset: first step, seed and, of several workers, input context to the
            batches from that step on, or to the worker's rows of them.
        observers: validation figures and pictures. At most one of them has a
            `best_figure`, by which the best weights are kept.
        signals: checked after every step.
        callbacks: get the losses and figures that are logged.

    Raises:
        UserError: a loss is not finite, or a checkpoint does not fit.
        Stopped: a signal requested it; a checkpoint is written.
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
    with strategy.scope():
        best = _best_weights(stage, observers, config, workdir)
    loop = _Loop(
        stage,
        config=config,
        strategy=strategy,
        checkpoints=checkpoints,
        observers=observers,
        best=best,
        steps=steps,
        batch_size=batch_size,
        signals=signals or StopSignals(),
    )
    with StageProgress(
        stage.name,
        workdir,
        steps=steps,
        batch_size=batch_size,
        writes=strategy.extended.should_save_summary,
        callbacks=callbacks,
    ) as progress:
        while start is not None:
            progress.start(start)
            start = loop.run(start, make_dataset, progress)


def _check_start(start, strategy, workdir):
    """Raises UserError where this worker's checkpoint is not the first worker's."""
    first = int(make_agreement(strategy)(start))
    if start != first:
        raise UserError(
            f"--workdir={workdir}: this worker has a checkpoint of step {start} there, "
            f"the first worker of step {first}; all must see the same folder"
        )


def _best_weights(stage, observers, config, workdir):
    """Keeps the best weights by the observer that has a figure for them; else None."""
    for observer in observers:
        if observer.best_figure is not None:
            return BestWeights(
                workdir / stage.name / "best",
                stage.checkpointed,
                figure=observer.best_figure,
                lowest=observer.lowest_is_best,
                every=observer.every,
                patience=config.run.patience,
            )
    return None


@dataclasses.dataclass
class _Loop:
    """The steps of one stage."""

    stage: Stage
    config: Config
    strategy: tf.distribute.Strategy
    checkpoints: StageCheckpoints
    observers: Sequence[Observer]
    best: BestWeights | None
    steps: int
    batch_size: int
    signals: StopSignals

    def __post_init__(self):
        self._vote = (
            make_vote(self.strategy) if num_workers(self.strategy) > 1 else None
        )
        self._train_step = compile_step(
            self.stage,
            self.strategy,
            self.checkpoints.step,
            jit=self.config.run.jit_compile,
            seed=lambda: self._seed(self.checkpoints.rollbacks.read_value()),
        )

    def run(self, start, make_dataset, progress) -> int | None:
        """Runs to the last step, or returns the step that a rollback went back to."""
        seed = int(self._seed(self.checkpoints.rollbacks.numpy()))
        batches = distribute_batches(
            self.strategy,
            functools.partial(make_dataset, start, seed),
            self.batch_size,
        )
        try:
            with self.signals.deferred():
                stopping = self._run_steps(start, batches, progress)
                self._agree_to_stop(stopping)
        except NotFinite as error:
            return self._roll_back(error)
        return None

    def _run_steps(self, start, batches, progress):
        """Runs the steps; returns whether a signal ended them."""
        run, unread, votes = self.config.run, [], []
        for step in range(start + 1, self.steps + 1):
            unread.append(self._train_step(batches))
            first, last = step == start + 1, step == self.steps
            if first:
                free_memory()
            stopping = self._stop_requested(votes)
            # The last step is saved below, after its validation figures.
            save = not last and (stopping or step % run.checkpoint_every == 0)
            due = self._due_observers(step, first)
            if save or first or last or due or step % run.log_every == 0:
                progress.report(step, read_losses(unread, step))
                unread = []
            if save:
                self._save()
            if stopping and not last:
                return True
            figures = {}
            for observer in due:
                observation = observer()
                progress.show(observation, step)
                figures |= observation[0]
            if self._is_over(figures, step):
                self._save()
                return stopping
        return False

    def _due_observers(self, step, first):
        return [
            observer
            for observer in self.observers
            if step == self.steps
            or step % observer.every == 0
            or (first and observer.after_first_step)
        ]

    def _stop_requested(self, votes):
        """Whether a signal came: to this process, or to any worker a step ago."""
        if self._vote is None:
            return self.signals.requested
        # All workers must stop after the same step. They use the vote of the step
        # before, since they would have to wait for the newest one.
        votes.append(self._vote(self.signals.requested))
        return len(votes) > 1 and bool(votes.pop(0))

    def _agree_to_stop(self, stopping):
        """Makes all workers stop after the stage, or none of them.

        `stopping` is the result of a vote that may be a step old.
        """
        if self._vote is not None:
            self.signals.requested = bool(self._vote(self.signals.requested | stopping))

    def _is_over(self, figures, step):
        """Whether the stage ends after this step; if so, loads its best weights."""
        over = step == self.steps
        if self.best is not None:
            # The first step's figures do not count: it is not a multiple of `every`.
            if over or step % self.best.every == 0:
                over = self.best.consider(figures, step) or over
            if over:
                self.best.restore()
        if over:
            # A stage that ends early counts as finished, so that it is not resumed.
            self.checkpoints.step.assign(self.steps)
        return over

    def _save(self):
        broken = self.checkpoints.not_finite()
        if broken:
            step = int(self.checkpoints.step.numpy())
            raise NotFinite(f"{', '.join(broken)} not finite at step {step}")
        self.checkpoints.save()

    def _seed(self, rollbacks):
        return (self.config.run.seed + rollbacks * _SEED_STRIDE) % 2**31

    def _roll_back(self, error):
        run, used = self.config.run, int(self.checkpoints.rollbacks.numpy())
        allowed = run.max_rollbacks if run.on_nan == "rollback" else 0
        if used >= allowed:
            after = f" after {used} rollback(s)" if used else ""
            hint = (
                "raise --max_rollbacks"
                if run.on_nan == "rollback"
                else "give --on_nan=rollback"
            )
            raise UserError(
                f"{self.stage.name}: {error}{after}; the last checkpoint is intact: "
                "lower the learning rate or change --seed in a new --workdir, or "
                f"{hint}"
            )
        start = self.checkpoints.restore()
        self.checkpoints.rollbacks.assign(used + 1)
        logging.warning(
            "%s: %s; back to step %d with a new seed (rollback %d of %d)",
            self.stage.name,
            error,
            start,
            used + 1,
            allowed,
        )
        return start


def read_losses(unread: list[dict[str, tf.Tensor]], step: int) -> dict[str, float]:
    """Means of several steps' losses.

    Args:
        unread: losses by name of each step.
        step: number of the last one.

    Raises:
        NotFinite: a loss is not finite; names the first such step.
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
            f"{step - len(unread) + first + 1}"
        )
    means = rows.mean(axis=0, dtype=np.float64)
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}
