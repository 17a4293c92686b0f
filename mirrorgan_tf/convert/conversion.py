"""Converts the original's checkpoints to a workdir."""

from pathlib import Path

import tensorflow as tf
from absl import logging

from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.convert.loading import load_pytorch_state
from mirrorgan_tf.convert.parts import (
    Checkpoints,
    discriminator_parts,
    read_parts,
    resolve_config,
)
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from mirrorgan_tf.workdir import VOCABULARY_FILE, start_workdir

__all__ = ["convert"]


def convert(
    checkpoints: Checkpoints,
    config: Config,
    workdir: Path,
    *,
    explicit_settings: frozenset[str] = frozenset(),
    generator_step: int | None = None,
) -> None:
    """Writes a workdir with the original's networks.

    STEM and STREAM count as fully trained. Optimizers start from scratch, and so do
    discriminators without a file. The original saves its averaged generator; the
    workdir has it as both the averaged and the current one.

    Args:
        checkpoints: the original's files.
        config: the settings that the files do not determine; its `captions_pickle`
            has the words and their ids.
        workdir: the folder to create, missing or empty. It is complete or not written.
        explicit_settings: names of settings that must agree with the files.
        generator_step: training steps of the generator; None: `glam_steps`.

    Raises:
        UserError: a file can't be read, contains another network, contradicts other
            files or explicit settings, or the folder is not empty.
    """
    if not config.text.captions_pickle:
        raise UserError(
            "--captions_pickle is missing; give AttnGAN's captions.pickle, which is "
            "part of its data: it has the word ids of the encoders"
        )
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UserError(
            f"--workdir={workdir}: exists and is not an empty folder; choose another"
        )
    parts = read_parts(checkpoints)
    vocabulary = Vocabulary.from_captions_pickle(config.text.captions_pickle)
    config = resolve_config(config, parts, len(vocabulary) + 1, explicit_settings)
    steps = {stage: config.stage(stage).steps for stage in config.stages}
    if generator_step is not None:
        steps["glam"] = generator_step
    stages = _build_stages(config, parts, len(vocabulary) + 1)
    try:
        with atomic_folder(workdir) as folder:
            start_workdir(folder, config)
            vocabulary.save(folder / VOCABULARY_FILE)
            for stage in stages:
                stage_checkpoints = StageCheckpoints(
                    folder / stage.name, stage.checkpointed, keep=1
                )
                stage_checkpoints.step.assign(steps[stage.name])
                stage_checkpoints.save()
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--workdir={workdir}: can't be written ({error})") from None


def _build_stages(config, parts, vocabulary_size):
    """The stages of the networks that have files, with the files' weights."""
    by_flag = {part.flag: part for part in parts}
    stem = networks.build_text_encoder(config, vocabulary_size)
    image_encoder = networks.build_image_encoder(config)
    _load(stem, by_flag["text_encoder"])
    _load(image_encoder, by_flag["image_encoder"])
    stages = [StemStage(config, stem, image_encoder)]
    if "caption_cnn" in by_flag:
        stream = networks.build_stream(config, vocabulary_size)
        _load(stream.encoder, by_flag["caption_cnn"])
        _load(stream.decoder, by_flag["caption_rnn"])
        stages.append(StreamStage(config, stream))
    if "generator" in by_flag:
        glam = networks.build_glam(config)
        _load(glam, by_flag["generator"])
        discriminators = networks.build_discriminators(config)
        discriminator_files = discriminator_parts(parts)
        for discriminator, part in zip(
            discriminators, discriminator_files, strict=bool(discriminator_files)
        ):
            _load(discriminator, part)
        if not discriminator_files:
            logging.warning(
                "no --discriminators: further training starts with untrained ones"
            )
        stages.append(
            GlamStage(
                config,
                # Frozen networks are not in this stage's checkpoint.
                stem=stem,
                stream=None,
                image_encoder=image_encoder,
                glam=glam,
                glam_ema=networks.build_glam(config),
                discriminators=discriminators,
            )
        )
    return stages


def _load(model, part):
    try:
        load_pytorch_state(model, part.state)
    except UserError as error:
        raise UserError(f"{part}: {error}") from None
    logging.info("%s: %d arrays", part, len(part.state))
