"""`--dry_run`: the networks at full size, a few steps of each stage, no data."""

import dataclasses
import time
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.registry import dataset_class, find_dataset
from mirrorgan_tf.tf32 import describe_float32
from mirrorgan_tf.training.backbone_stage import BackboneStage
from mirrorgan_tf.training.captions import with_encoder_text
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.loop import compile_step
from mirrorgan_tf.training.memory import free_memory, peak_gib
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage

__all__ = [
    "Estimate",
    "describe_epoch",
    "dry_run",
    "estimate",
    "random_batch",
    "table",
]

_BATCH = 2
# The first, which traces, and those that are timed.
_STEPS = 3
# For sets of unknown size; a dry run does not read the data.
_DEFAULT_IMAGES = 1_000


def dry_run(config: Config, strategy: tf.distribute.Strategy) -> None:
    """Builds every network, logs sizes, runs a few steps of each stage on random data.

    Pretrained weights are not loaded, so nothing is downloaded. The steps use two
    images per replica and micro-batch; the memory logged is this process's peak up to
    then. Ends with a table of the times that the whole stages would take.
    """
    if config.encoders.image_encoder_weights != "backbone":
        config = config.replace(image_encoder_weights="none")
    if config.encoders.stream_encoder_weights != "stem":
        config = config.replace(stream_encoder_weights="none")
    words = 1 + dataset_class(config.data.dataset).typical_words
    with strategy.scope():
        stages = _build_stages(config, words)
    _log_parameters(stages["glam"])
    batch_size = _BATCH * config.run.accumulate_steps * strategy.num_replicas_in_sync
    logging.info(
        "a few steps of each stage, batch %d, %d words in the vocabulary, %d "
        "replica(s), float32 multiplied in %s",
        batch_size,
        words - 1,
        strategy.num_replicas_in_sync,
        describe_float32(),
    )
    estimates = [
        estimate(
            config,
            name,
            images=batch_size,
            step_s=_run_steps(name, stage, config, strategy, batch_size, words),
        )
        for name, stage in stages.items()
    ]
    logging.info(
        "estimates for this machine, in proportion to the images of a step; an epoch "
        "is %s",
        describe_epoch(config),
    )
    header, *rows = table(estimates)
    logging.info("%s", header)
    for row, stage in zip(rows, estimates, strict=True):
        logging.info("%s", row, extra={"fields": dataclasses.asdict(stage)})


def _build_stages(config, words):
    glam = GlamStage.from_config(config, words)
    stages = {}
    if "backbone" in config.stages:
        label_values = dataset_class(config.data.dataset).label_values
        classifier = networks.build_label_classifier(config, label_values)
        codes = {label: np.zeros(_BATCH, np.int32) for label in label_values}
        stages["backbone"] = BackboneStage(config, classifier, codes)
    # The stages share networks, to save memory.
    return stages | {
        "stem": StemStage(config, glam.stem, glam.image_encoder),
        "stream": StreamStage(config, glam.stream),
        "glam": glam,
    }


def _log_parameters(stage):
    parts = {
        "text encoder": stage.stem,
        "DAMSM image encoder": stage.image_encoder,
        "STREAM": stage.stream,
        "generator (GLAM)": stage.glam,
    } | {
        f"discriminator {size} px": discriminator
        for size, discriminator in zip(
            stage.config.sizes, stage.discriminators, strict=True
        )
    }
    for size, discriminator in zip(
        stage.config.feature_sizes, stage.feature_discriminators, strict=True
    ):
        parts[f"features of {size} px"] = discriminator
    for name, network in parts.items():
        logging.info(
            "%-22s %12s trainable of %12s parameters",
            name,
            f"{sum(int(np.prod(v.shape)) for v in network.trainable_variables):,}",
            f"{network.count_params():,}",
        )


def _run_steps(name, stage, config, strategy, batch_size, words):
    """Runs steps, logs their times, and returns the shortest in seconds."""
    dataset = tf.data.Dataset.from_tensors(random_batch(config, batch_size, words))
    batches = iter(strategy.experimental_distribute_dataset(dataset.repeat(_STEPS)))
    with strategy.scope():
        step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(
        stage, strategy, step, jit=config.run.jit_compile, seed=config.run.seed
    )
    first, losses = _time_step(train_step, batches)
    free_memory()
    seconds = min(_time_step(train_step, batches)[0] for _ in range(1, _STEPS))
    logging.info(
        "%s: first step %.1f s (with tracing), later %.2f s (%.2f images/s), "
        "peak memory %.2f GiB | %s",
        name,
        first,
        seconds,
        batch_size / seconds,
        peak_gib(),
        "  ".join(f"{key} {value:.3f}" for key, value in losses.items()),
    )
    return seconds


def _time_step(train_step, batches):
    """Seconds of a step, and its losses."""
    start_s = time.monotonic()
    losses = {key: float(value) for key, value in train_step(batches).items()}
    return time.monotonic() - start_s, losses


def random_batch(config: Config, batch_size: int, words: int) -> dict:
    """A batch of random images and captions; ids from 1 to words - 1."""
    random = np.random.default_rng(config.run.seed)
    ids = random.integers(1, words, (batch_size, 1, config.text.max_words), np.int32)
    batch = {
        "images": tuple(
            random.uniform(-1, 1, (batch_size, size, size, 3)).astype(np.float32)
            for size in config.sizes
        ),
        "captions": tf.fill([batch_size, 1], ""),
        "caption_ids": ids,
        "caption_lengths": np.full((batch_size, 1), config.text.max_words, np.int32),
        "class_ids": np.arange(batch_size, dtype=np.int32),
        "index": np.arange(batch_size, dtype=np.int32) % _BATCH,
    }
    return with_encoder_text(batch, networks.text_encoder_class(config).text_inputs)


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
    """The number of images, and whether it is the data set's own."""
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
