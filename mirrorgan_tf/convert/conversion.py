"""The original's checkpoints into a run's folder."""

import hashlib
import json
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
    settle,
)
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import file_sha256, read_bytes, whole_folder
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.checkpoints import StageCheckpoints
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from mirrorgan_tf.workdir import VOCABULARY_FILE, start_workdir

__all__ = ["convert"]

_RECORD = "converted.json"


def convert(
    checkpoints: Checkpoints,
    config: Config,
    workdir: Path,
    *,
    given: frozenset[str] = frozenset(),
    generator_step: int | None = None,
) -> bool:
    """Makes the folder of a run of the original's networks: whole or not at all.

    STEM and STREAM count as trained to their end, the generator as `generator_step`
    says. Optimizers start afresh, and so do discriminators that are not given; the
    averaged generator is the one that is given, since that is what the original saves.

    Args:
        checkpoints: the original's files.
        config: what they do not tell; `captions_pickle` holds the words and their ids.
        workdir: to make; nothing or an empty folder.
        given: settings that the user has said: the files must agree with them.
        generator_step: steps that the generator has behind it; none: all.

    Returns:
        Whether it was made; False if this very conversion is there already.

    Raises:
        UserError: a file is unreadable, is another network's, does not fit the others
            or what was given, or the folder is another run's.
    """
    if not config.text.captions_pickle:
        raise UserError(
            "--captions_pickle is missing; AttnGAN's captions.pickle, which lies with "
            "its data, has the ids of the words that the encoders know"
        )
    parts = read_parts(checkpoints)
    vocabulary = Vocabulary.from_captions_pickle(config.text.captions_pickle)
    config = settle(config, parts, len(vocabulary) + 1, given)
    steps = {stage: config.stage(stage).steps for stage in config.stages}
    if generator_step is not None:
        steps["glam"] = generator_step
    record = _record(config, parts, vocabulary, steps["glam"])
    if _is_there(workdir, record):
        return False
    stages = _make_stages(config, parts, len(vocabulary) + 1)
    try:
        with whole_folder(workdir) as folder:
            start_workdir(folder, config)
            vocabulary.save(folder / VOCABULARY_FILE)
            for stage in stages:
                saved = StageCheckpoints(
                    folder / stage.name, stage.checkpointed, keep=1
                )
                saved.step.assign(steps[stage.name])
                saved.save()
            (folder / _RECORD).write_text(json.dumps(record, indent=1))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--workdir={workdir}: can't be written ({error})") from None
    return True


def _make_stages(config, parts, vocabulary_size):
    """The stages whose networks are given, with their weights."""
    by_flag = {part.flag: part for part in parts}
    stem = networks.build_stem(config, vocabulary_size)
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
        judges = discriminator_parts(parts)
        for discriminator, part in zip(discriminators, judges, strict=bool(judges)):
            _load(discriminator, part)
        if not judges:
            logging.warning("no --discriminators: if trained on, they start afresh")
        stages.append(
            GlamStage(
                config,
                # Frozen: not in this stage's checkpoint.
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


def _record(config, parts, vocabulary, generator_step):
    """What makes a conversion this one."""
    files = []
    for part in parts:
        digest = file_sha256(part.path)
        files.append({part.flag: Path(part.path).name, "sha256": digest})
    words = hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()
    return {
        "files": files,
        "words_sha256": words,
        "generator_step": generator_step,
        "settings": config.to_flags(runtime=False),
    }


def _is_there(workdir, record):
    """Whether a folder holds this very conversion; UserError if it holds another."""
    if not workdir.exists() or (workdir.is_dir() and not any(workdir.iterdir())):
        return False
    try:
        before = json.loads(read_bytes(workdir / _RECORD))
    except (OSError, ValueError):
        before = None
    if before != record:
        what = "another conversion" if before else "something else"
        raise UserError(
            f"--workdir={workdir}: holds {what} already; choose another folder"
        )
    return True
