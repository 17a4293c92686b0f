"""What a training reports while it runs: log lines, TensorBoard, pictures."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.pictures import save_image
from mirrorgan_tf.training.stage import Observation

__all__ = ["Progress", "StageSummaries", "StartUpTimes", "warn_if_unwritable"]

_TENSORBOARD_LOG = "TensorBoard's log"


class StageSummaries:
    """TensorBoard's files and the folder of pictures of one stage.

    If they cannot be written, the training warns once and continues.
    """

    def __init__(self, workdir: Path, stage: str, *, writes: bool = True):
        """Opens `logs/<stage>/`; without `writes` nothing is written at all."""
        self._stage = stage
        self._pictures = workdir / "pictures"
        self._warned = set()
        self._writer = None
        if writes:
            folder = workdir / "logs" / stage
            with warn_if_unwritable(_TENSORBOARD_LOG, self._warned):
                self._writer = tf.summary.create_file_writer(str(folder))
        self._writes_pictures = writes

    def write_scalars(self, values: dict[str, float], step: int) -> None:
        """Adds numbers by name."""
        self._write(tf.summary.scalar, values, step)

    def write_pictures(self, pictures: dict[str, np.ndarray], step: int) -> None:
        """Adds pictures by name, and writes each as a PNG."""
        batches = {name: picture[None] for name, picture in pictures.items()}
        self._write(tf.summary.image, batches, step)
        if not self._writes_pictures:
            return
        with warn_if_unwritable(self._pictures, self._warned):
            for name, picture in pictures.items():
                path = self._pictures / f"{self._stage}_{name}_{step:06d}.png"
                save_image(picture, path)

    def close(self) -> None:
        """Writes what is still in memory."""
        if self._writer is not None:
            with warn_if_unwritable(_TENSORBOARD_LOG, self._warned):
                self._writer.close()

    def _write(self, add_summary, values, step):
        if self._writer is None:
            return
        with (
            warn_if_unwritable(_TENSORBOARD_LOG, self._warned),
            self._writer.as_default(),
        ):
            for name, value in values.items():
                add_summary(f"{self._stage}/{name}", value, step=step)


@contextlib.contextmanager
def warn_if_unwritable(target: str | Path, warned: set | None = None) -> Iterator[None]:
    """Warns where `target` cannot be written, unless it is in `warned`."""
    warned = set() if warned is None else warned
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if target not in warned:
            logging.warning(
                "%s cannot be written, the training goes on without: %s",
                target,
                (str(error) or type(error).__name__).splitlines()[0],
            )
        warned.add(target)


class StartUpTimes:
    """Where the time until a stage's first step goes."""

    def __init__(self, start_s: float | None = None):
        """Counts from `start_s` on the monotonic clock, by default from now."""
        self._last = time.monotonic() if start_s is None else start_s
        self._parts = {}
        self._reported = False

    def record_time(self, part: str) -> None:
        """Counts the time since the last call as time of `part`."""
        now = time.monotonic()
        self._parts[part] = round(now - self._last, 2)
        self._last = now

    def report(self, stage: str) -> None:
        """Logs the parts, the first step being the last; once."""
        if self._reported:
            return
        self._reported = True
        self.record_time("first step")
        total = sum(self._parts.values())
        logging.info(
            "%s: the first step ended after %.1f s: %s",
            stage,
            total,
            ", ".join(f"{part} {seconds:.1f}" for part, seconds in self._parts.items()),
            extra={
                "fields": {
                    "stage": stage,
                    "start_up_s": round(total, 2),
                    "start_up_parts_s": self._parts,
                }
            },
        )


class Progress:
    """Log lines of a stage with its speed and the time that is left."""

    def __init__(
        self,
        stage: str,
        summaries: StageSummaries,
        *,
        start: int,
        steps: int,
        batch_size: int,
        start_up: StartUpTimes,
    ):
        """Counts from step `start`, towards `steps`; reports `start_up` once."""
        self._stage = stage
        self._summaries = summaries
        self._start_up = start_up
        self._steps = steps
        self._batch_size = batch_size
        self._restart_clock(start)

    def _restart_clock(self, step):
        """Leaves out of the speed what was no training (tracing, pictures)."""
        self._clock_start_s = time.monotonic()
        self._clock_start_step = step

    def report(self, step: int, losses: dict[str, float]) -> None:
        """Logs and summarises the means of the losses."""
        seconds = max(time.monotonic() - self._clock_start_s, 1e-9)
        rate = (step - self._clock_start_step) / seconds
        left_s = (self._steps - step) / rate if rate else math.inf
        images_per_second = rate * self._batch_size
        self._summaries.write_scalars(
            losses | {"images_per_second": images_per_second}, step
        )
        logging.info(
            "%s %d/%d | ETA %s | %.1f images/s | %s",
            self._stage,
            step,
            self._steps,
            _clock(left_s),
            images_per_second,
            _numbers(losses),
            extra={
                "fields": {
                    "stage": self._stage,
                    "step": step,
                    "steps": self._steps,
                    "eta_s": round(left_s, 1) if rate else None,
                    "images_per_second": round(images_per_second, 2),
                    "losses": losses,
                }
            },
        )
        self._start_up.report(self._stage)

    def show(self, observation: Observation, step: int) -> None:
        """Logs figures, saves pictures; the time this took does not count."""
        figures, pictures = observation
        self._summaries.write_scalars(figures, step)
        if figures:
            fields = {"stage": self._stage, "step": step, "figures": figures}
            logging.info(
                "%s %d: %s",
                self._stage,
                step,
                _numbers(figures),
                extra={"fields": fields},
            )
        self._summaries.write_pictures(pictures, step)
        self._restart_clock(step)


def _numbers(values):
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())


def _clock(seconds):
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
