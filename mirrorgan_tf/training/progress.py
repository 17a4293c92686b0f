"""What a training says while it runs: log lines, TensorBoard, pictures."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.pictures import save_image

__all__ = ["Board", "Observation", "Progress", "StartUp", "tolerant"]

_LOG = "TensorBoard's log"

# Scalars and uint8 pictures (H, W, 3) by name, of the models as they are now.
Observation = tuple[dict[str, float], dict[str, np.ndarray]]


class Board:
    """TensorBoard's files and the folder of pictures of one stage.

    A training does not stop because they cannot be written: it warns once.
    """

    def __init__(self, workdir: Path, stage: str, *, writes: bool = True):
        """Makes `logs/<stage>/`; without `writes` nothing is written at all."""
        self._stage = stage
        self._pictures = workdir / "pictures"
        self._warned = set()
        self._writer = None
        if writes:
            folder = workdir / "logs" / stage
            with tolerant(_LOG, self._warned):
                self._writer = tf.summary.create_file_writer(str(folder))
        self._writes_pictures = writes

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Adds numbers by name."""
        self._summarise(tf.summary.scalar, values, step)

    def pictures(self, pictures: dict[str, np.ndarray], step: int) -> None:
        """Adds pictures by name, and writes each as a PNG."""
        self._summarise(
            tf.summary.image,
            {name: picture[None] for name, picture in pictures.items()},
            step,
        )
        if not self._writes_pictures:
            return
        with tolerant(self._pictures, self._warned):
            for name, picture in pictures.items():
                path = self._pictures / f"{self._stage}_{name}_{step:06d}.png"
                save_image(picture, path)

    def close(self) -> None:
        """Writes what is still in memory."""
        if self._writer is not None:
            with tolerant(_LOG, self._warned):
                self._writer.close()

    def _summarise(self, add, values, step):
        if self._writer is None:
            return
        with tolerant(_LOG, self._warned), self._writer.as_default():
            for name, value in values.items():
                add(f"{self._stage}/{name}", value, step=step)


@contextlib.contextmanager
def tolerant(what: str | Path, warned: set | None = None) -> Iterator[None]:
    """Warns where `what` cannot be written, unless it is in `warned`."""
    warned = set() if warned is None else warned
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if what not in warned:
            logging.warning(
                "%s cannot be written, the training goes on without: %s",
                what,
                (str(error) or type(error).__name__).splitlines()[0],
            )
        warned.add(what)


class StartUp:
    """Where the time until a stage's first step goes."""

    def __init__(self, begun_s: float | None = None):
        """Counts from `begun_s` on the monotonic clock, by default from now."""
        self._last = time.monotonic() if begun_s is None else begun_s
        self._parts = {}
        self._reported = False

    def mark(self, part: str) -> None:
        """Puts the time since the last mark down to `part`."""
        now = time.monotonic()
        self._parts[part] = round(now - self._last, 2)
        self._last = now

    def report(self, stage: str) -> None:
        """Logs the parts, the first step being the last; once."""
        if self._reported:
            return
        self._reported = True
        self.mark("first step")
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
    """Log lines with speed and the time that is left."""

    def __init__(
        self,
        stage: str,
        board: Board,
        *,
        start: int,
        steps: int,
        batch_size: int,
        start_up: StartUp,
    ):
        """Counts from step `start`, towards `steps`; reports `start_up` once."""
        self._stage = stage
        self._board = board
        self._start_up = start_up
        self._steps = steps
        self._batch_size = batch_size
        self.restart(start)

    def restart(self, done: int) -> None:
        """Leaves out of the speed what was no training (tracing, pictures)."""
        self._since = time.monotonic()
        self._since_step = done

    def report(self, done: int, losses: dict[str, float]) -> None:
        """Logs and summarises the means of the losses."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        rate = (done - self._since_step) / seconds
        left = (self._steps - done) / rate if rate else math.inf
        images = rate * self._batch_size
        self._board.scalars(losses | {"images_per_second": images}, done)
        logging.info(
            "%s %d/%d | ETA %s | %.1f images/s | %s",
            self._stage,
            done,
            self._steps,
            _clock(left),
            images,
            "  ".join(f"{name} {value:.3f}" for name, value in losses.items()),
            extra={
                "fields": {
                    "stage": self._stage,
                    "step": done,
                    "steps": self._steps,
                    "eta_s": round(left, 1) if rate else None,
                    "images_per_second": round(images, 2),
                    "losses": losses,
                }
            },
        )
        self._start_up.report(self._stage)

    def show(self, observation: Observation, done: int) -> None:
        """Logs figures, draws pictures; the time this took does not count."""
        scalars, pictures = observation
        self._board.scalars(scalars, done)
        if scalars:
            logging.info(
                "%s %d: %s",
                self._stage,
                done,
                "  ".join(f"{name} {value:.3f}" for name, value in scalars.items()),
                extra={
                    "fields": {"stage": self._stage, "step": done, "figures": scalars}
                },
            )
        self._board.pictures(pictures, done)
        self.restart(done)


def _clock(seconds):
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
