"""From a workdir to the file that `train` reads, and from its weights back."""

import json
from pathlib import Path

import numpy as np

from mirrorgan_tf import networks
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.dataset import example
from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config, write_config
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.checkpoints import StageCheckpoints, restore_part
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from mirrorgan_tf.workdir import FLAGS_FILE, VOCABULARY_FILE

__all__ = ["pack_workdir", "unpack_weights"]

_CAPTIONS = 5
_VAL_IMAGES = 2_000


def pack_workdir(arguments) -> None:
    """Writes settings, captions as ids and the trained backbone into one file."""
    config = _read(arguments.flagfile)
    workdir = Path(arguments.workdir)
    vocabulary = Vocabulary.load(workdir / VOCABULARY_FILE)
    tokenizer = CaptionTokenizer(vocabulary, config.text.max_words)
    classifier = networks.build_label_classifier(config, ATTRIBUTES)
    restore_part(workdir / "backbone", {"classifier": classifier})
    arrays = {
        f"backbone/{i}": weights
        for i, weights in enumerate(classifier.backbone.get_weights())
    }
    for split, prefix, count in (
        ("train", "", arguments.images),
        ("val", "val_", _VAL_IMAGES),
    ):
        ids, lengths = _captions(tokenizer, config, split, count)
        arrays |= {f"{prefix}ids": ids, f"{prefix}lengths": lengths}
    np.savez_compressed(
        arguments.out,
        config=json.dumps(config.to_flags()),
        vocabulary_size=len(vocabulary) + 1,
        **arrays,
    )


def unpack_weights(arguments) -> None:
    """Writes the weights as checkpoints into a workdir that has a vocabulary.

    Optimizers start afresh when the training goes on.
    """
    config = _read(arguments.flagfile)
    workdir, weights = Path(arguments.workdir), Path(arguments.weights)
    vocabulary = Vocabulary.load(workdir / VOCABULARY_FILE)
    words = len(vocabulary) + 1
    write_config(config, workdir / FLAGS_FILE)
    glam = GlamStage.from_config(config, words)
    stages = {
        "stem": StemStage(config, glam.stem, glam.image_encoder),
        "stream": StreamStage(config, glam.stream),
        "glam": glam,
    }
    _load(weights / "stem.npz", stem=glam.stem, image_encoder=glam.image_encoder)
    _load(weights / "stream.npz", stream=glam.stream)
    _load(weights / "glam.npz", glam=glam.glam, glam_ema=glam.glam_ema)
    discriminators = [*glam.discriminators, *glam.feature_discriminators]
    names = [f"discriminator_{i}" for i in range(len(discriminators))]
    models = dict(zip(names, discriminators, strict=True))
    _load(
        weights / "pixel_discriminators.npz",
        **{name: models[name] for name in names[: config.generator.scales]},
    )
    _load(
        weights / "feature_discriminators.npz",
        **{name: models[name] for name in names[config.generator.scales :]},
    )
    for name, stage in stages.items():
        checkpoints = StageCheckpoints(workdir / name, stage.checkpointed, keep=1)
        steps = config.stage(name).steps
        if name == "glam" and arguments.glam_step is not None:
            steps = arguments.glam_step
        checkpoints.step.assign(steps)
        checkpoints.save()


def _captions(tokenizer, config, split, count):
    texts = [
        caption.text
        for index in range(count)
        for caption in example(config.data.seed, split, index, _CAPTIONS)[1]
    ]
    ids, lengths = tokenizer.pad(tokenizer.tokenize(texts))
    shape = (count, _CAPTIONS)
    return (
        ids.numpy().reshape(*shape, -1).astype(np.uint16),
        lengths.numpy().reshape(shape).astype(np.uint8),
    )


def _load(path, **models):
    arrays = np.load(path)
    for name, model in models.items():
        model.set_weights(
            [
                arrays[f"{name}/{i}"].astype(variable.dtype)
                for i, variable in enumerate(model.weights)
            ]
        )


def _read(flagfile) -> Config:
    return read_config(Path(flagfile), ignored=("workdir",))
