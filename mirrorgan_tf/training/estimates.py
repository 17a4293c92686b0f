"""Times of whole stages on this machine, estimated from one step, for `--dry_run`."""

import dataclasses
from collections.abc import Iterable

from mirrorgan_tf.config import Config
from mirrorgan_tf.data.registry import find_dataset

__all__ = [
    "Estimate",
    "describe_epoch",
    "estimate",
    "table",
]

# For sets of unknown size; a dry run does not read the data.
_DEFAULT_IMAGES = 1_000


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Times of one stage, in seconds; `step_s` is that of the step measured here."""

    stage: str
    step_s: float
    steps: int
    batch_size: int
    epoch_s: float
    all_steps_s: float


def estimate(config: Config, stage: str, *, images: int, step_s: float) -> Estimate:
    """Time of an epoch and of all steps, in proportion to the number of images.

    Rather too long: larger batches update the weights less often.

    Args:
        config: of the training.
        stage: its name.
        images: of a step that was measured on this machine.
        step_s: its time.
    """
    image_s = step_s / images
    steps = config.stage(stage).steps
    batch_size = config.stage(stage).batch_size
    return Estimate(
        stage=stage,
        step_s=step_s,
        steps=steps,
        batch_size=batch_size,
        epoch_s=_epoch_images(config)[0] * image_s,
        all_steps_s=steps * batch_size * image_s,
    )


def describe_epoch(config: Config) -> str:
    """The number of images of an epoch in the estimates."""
    images, known = _epoch_images(config)
    note = "" if known else " (the size of the data set is not known)"
    return f"{images:,} images{note}"


def _epoch_images(config):
    """The number, and whether it is that of the data set."""
    images = find_dataset(config).published_train_images
    return (_DEFAULT_IMAGES, False) if images is None else (images, True)


def table(estimates: Iterable[Estimate]) -> list[str]:
    """A header, and a line for each stage."""
    rows = [["stage", "s/step", "epoch", "all steps", "take"]]
    for stage in estimates:
        rows.append(
            [
                stage.stage,
                f"{stage.step_s:.3g}",
                _duration(stage.epoch_s),
                f"{stage.steps:,} of {stage.batch_size}",
                _duration(stage.all_steps_s),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _duration(seconds):
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
