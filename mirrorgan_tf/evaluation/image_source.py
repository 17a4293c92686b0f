"""What generates the images that are evaluated: a run or a SavedModel."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.evaluation.features import fingerprint
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.serving.loading import load_saved_model

__all__ = ["ImageSource", "model_source", "open_saved_model_source"]

_SIGNATURE = "seeded"


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """A model that generates images.

    Attributes:
        generate: captions and seeds (B,) to images (B, S, S, 3) uint8.
        size_px: S.
        facts: JSON values that identify the model and its weights.
        name: for a folder of its images.
    """

    generate: Callable[[Sequence[str], Sequence[int]], np.ndarray]
    size_px: int
    facts: dict
    name: str


def model_source(model: MirrorGAN) -> ImageSource:
    """A model that was opened from a workdir or a preset."""

    def generate(captions, seeds):
        return model.generate(captions, seed=list(seeds), batch_size=len(captions))

    weights = fingerprint([*model.stem.weights, *model.glam.weights])
    return ImageSource(
        generate=generate,
        size_px=model.image_size,
        facts={"step": model.step, "weights": weights},
        name=f"step{model.step}",
    )


def open_saved_model_source(path: str | Path) -> ImageSource:
    """Any SavedModel with the signature `seeded` of an export.

    Raises:
        UserError: there is none, or its signature is another.
    """
    loaded, folder = load_saved_model(path, _SIGNATURE)
    signature = loaded.signatures[_SIGNATURE]
    image = signature.structured_outputs.get("image")
    inputs = signature.structured_input_signature[1].keys()
    if inputs != {"caption", "seed"} or image is None or image.shape[1] is None:
        raise UserError(
            f"--saved_model={path}: signature {_SIGNATURE} must take caption and seed "
            "and give image, of a fixed size"
        )

    def generate(captions, seeds):
        try:
            return signature(
                caption=tf.constant(list(captions)), seed=tf.constant(seeds, tf.int64)
            )["image"].numpy()
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f"--saved_model={path}: {first_line(error)}; a smaller "
                "--batch_size may help"
            ) from None

    digest = _digest(folder)
    return ImageSource(
        generate=generate,
        size_px=image.shape[1],
        facts={"saved_model": digest},
        name=f"saved_model-{digest[:8]}",
    )


def _digest(folder):
    digest = hashlib.sha256()
    for file in [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
