"""Begins a training with the weights of another model: `--init_from`."""

import functools
from pathlib import Path

import keras
from absl import logging

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.presets.files import open_preset
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.checkpoints import restore_part
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stage import Stage
from mirrorgan_tf.training.transfer import transfer_weights
from mirrorgan_tf.workdir import FLAGS_FILE, open_image_encoder, open_workdir

__all__ = ["Initialization"]


class Initialization:
    """The networks of a trained model, for the stages of a new training."""

    def __init__(self, source: str):
        """Opens the model.

        Args:
            source: the workdir of a finished training, a preset's name or its folder.

        Raises:
            UserError: there is no such model, or it is damaged.
        """
        folder = Path(source).expanduser()
        self._source = source
        # A preset has no checkpoints, and so neither DAMSM's image encoder nor the
        # discriminators.
        self._is_workdir = (folder / FLAGS_FILE).is_file() and (
            folder / "glam"
        ).is_dir()
        if self._is_workdir:
            self._model: MirrorGAN = open_workdir(folder)
            return
        try:
            self._model = open_preset(source)
        except UserError as error:
            raise UserError(
                f"--init_from={source}: neither the workdir of a training with a "
                f"generator nor a preset ({error})"
            ) from None

    def initialize(self, stage: Stage, vocabulary: Vocabulary) -> None:
        """Copies the model's weights into a stage that has not begun, and logs them."""
        words = vocabulary.words
        source_words = self._model.tokenizer.vocabulary.words
        for name, network in _networks(stage.checkpointed).items():
            source = self._source_network(name)
            if source is None:
                logging.info("%s: %s has no %s", stage.name, self._source, name)
                continue
            has_words = name in ("stem", "stream")
            copied, total = transfer_weights(
                network,
                source,
                words=words if has_words else (),
                source_words=source_words if has_words else (),
            )
            known = len(set(words) & set(source_words))
            logging.info(
                "%s: %s begins with %d of %d weights from %s%s",
                stage.name,
                name,
                copied,
                total,
                self._source,
                f", {known} of {len(words)} words" if has_words else "",
            )

    def _source_network(self, name):
        match name:
            case "stem":
                return self._model.stem
            case "stream":
                return self._model.stream
            case "glam" | "glam_ema":
                return self._model.glam
            case "image_encoder" if self._is_workdir:
                return open_image_encoder(self._model)
            case _ if self._is_workdir and "discriminators" in name:
                return self._discriminators.get(name)
        return None

    @functools.cached_property
    def _discriminators(self) -> dict[str, keras.Model]:
        """The workdir's discriminators by name; empty if it has none.

        A converted generator may have no discriminators.
        """
        config = self._model.config.replace(
            image_encoder_weights="none", stream_encoder_weights="none"
        )
        words = len(self._model.tokenizer.vocabulary) + 1
        stage = GlamStage.from_config(config, words)
        parts = {
            name: value
            for name, value in stage.checkpointed.items()
            if name in ("discriminators", "feature_discriminators")
        }
        try:
            restore_part(self._model.path / "glam", parts)
        except UserError as error:
            logging.warning("%s", error)
            return {}
        return _networks(parts)


def _networks(checkpointed):
    """The Keras models of a stage by name; models in a list are numbered."""
    networks = {}
    for name, value in checkpointed.items():
        values = value if isinstance(value, list) else [value]
        for i, network in enumerate(values):
            if isinstance(network, keras.Model):
                key = f"{name} {i}" if isinstance(value, list) else name
                networks[key] = network
    return networks
