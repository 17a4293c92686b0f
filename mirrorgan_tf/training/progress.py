"""What a training reports while it runs: log lines, TensorBoard, pictures."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import first_line
from mirrorgan_tf.pictures import save_image
from mirrorgan_tf.progress import Progress
from mirrorgan_tf.training.stage import Observation

__all__ = [
    "Callback",
    "StageProgress",
    "warn_if_unwritable",
    "write_hyperparameters",
]

# Gets the stage's name, the step, and losses or figures by name.
Callback = Callable[[str, int, dict[str, float]], None]

_TENSORBOARD_LOG = "TensorBoard's log"
# Losses that contain the others.
_TOTALS = ("generator", "total", "cross_entropy")


class StageProgress:
    """Reports of one stage: log lines, TensorBoard, pictures and callbacks.

    On a terminal one log line is rewritten. If TensorBoard's files or the pictures
    can't be written, the training warns once and continues.
    """

    def __init__(
        self,
        stage: str,
        workdir: Path,
        *,
        steps: int,
        batch_size: int,
        writes: bool,
        callbacks: Sequence[Callback],
    ):
        """Opens `logs/<stage>/`; without `writes` there are no files."""
        self._stage = stage
        self._batch_size = batch_size
        self._callbacks = callbacks
        self._pictures = workdir / "pictures" if writes else None
        self._warned = set()
        self._writer = None
        if writes:
            folder = workdir / "logs" / stage
            with warn_if_unwritable(_TENSORBOARD_LOG, self._warned):
                self._writer = tf.summary.create_file_writer(str(folder))
        self._progress = Progress(
            stage,
            steps,
            unit="steps",
            speed_factor=batch_size,
            speed_unit="images",
            seconds_between_lines=0,
        )

    def __enter__(self) -> "StageProgress":
        return self

    def __exit__(self, *error) -> None:
        self._progress.__exit__(*error)
        if self._writer is not None:
            with warn_if_unwritable(_TENSORBOARD_LOG, self._warned):
                self._writer.close()

    def start(self, step: int) -> None:
        """Begins after a number of steps, or begins again there after a rollback."""
        self._progress.restart_clock(step)

    def report(self, step: int, losses: dict[str, float]) -> None:
        """Reports the means of the losses since the last report."""
        # The line is cut at the width of the terminal: the totals come first.
        first = {name: losses[name] for name in _TOTALS if name in losses}
        self._progress.update(
            step,
            first | losses,
            {
                "stage": self._stage,
                "step": step,
                "steps": self._progress.total,
                "losses": losses,
            },
        )
        speed = self._progress.items_per_second * self._batch_size
        self._write_scalars(losses | {"images_per_second": speed}, step)

    def show(self, observation: Observation, step: int) -> None:
        """Logs figures and saves pictures; the speed leaves out the time for them."""
        figures, pictures = observation
        self._write_scalars(figures, step)
        if figures:
            text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            fields = {"stage": self._stage, "step": step, "figures": figures}
            logging.info("%s %d: %s", self._stage, step, text, extra={"fields": fields})
        self._write_pictures(pictures, step)
        self._progress.restart_clock(step)

    def _write_scalars(self, values, step):
        for callback in self._callbacks:
            callback(self._stage, step, values)
        self._write(tf.summary.scalar, values, step)

    def _write_pictures(self, pictures, step):
        """Adds pictures (H, W, 3) to TensorBoard, and writes each as a PNG."""
        batches = {name: picture[None] for name, picture in pictures.items()}
        self._write(tf.summary.image, batches, step)
        if self._pictures is None:
            return
        with warn_if_unwritable(self._pictures, self._warned):
            for name, picture in pictures.items():
                path = self._pictures / f"{self._stage}_{name}_{step:06d}.png"
                save_image(picture, path)

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
    """Warns if `target` can't be written, once for all calls with the same `warned`."""
    warned = set() if warned is None else warned
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if target not in warned:
            logging.warning(
                "%s cannot be written, the training goes on without: %s",
                target,
                first_line(error),
            )
        warned.add(target)


def write_hyperparameters(config: Config, workdir: Path) -> None:
    """Writes the settings of a run to TensorBoard's tab HParams.

    If the log can't be written, the training warns and continues.
    """
    # It takes a second to import.
    from tensorboard.plugins.hparams import api

    folder = workdir / "logs"
    with warn_if_unwritable(folder):
        with tf.summary.create_file_writer(str(folder)).as_default():
            # The dashboard counts a resumed training as the same trial.
            api.hparams(config.to_flags(), trial_id=str(workdir.resolve()))
