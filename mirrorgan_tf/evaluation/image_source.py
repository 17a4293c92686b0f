"""Models that generate the images of an evaluation: trained ones and SavedModels."""

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
        name: part of the name of a folder for its images.
    """

    generate: Callable[[Sequence[str], Sequence[int]], np.ndarray]
    size_px: int
    facts: dict
    name: str


def model_source(model: MirrorGAN) -> ImageSource:
    """The source of a model of a workdir or a preset."""

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
    """The source of a SavedModel that has the signature `seeded` of exported models.

    Raises:
        UserError: there is no SavedModel, or its signature differs.
    """
    loaded, folder = load_saved_model(path, _SIGNATURE)
    signature = loaded.signatures[_SIGNATURE]
    image = signature.structured_outputs.get("image")
    inputs = signature.structured_input_signature[1].keys()
    side = image.shape[1] if image is not None and image.shape.rank == 4 else None
    # The networks of the metrics are built for powers of 2.
    is_valid_side = side is not None and side >= 16 and side.bit_count() == 1
    if inputs != {"caption", "seed"} or not is_valid_side:
        raise UserError(
            f"--saved_model={path}: signature {_SIGNATURE} must take caption and seed "
            "and return image, whose side is a fixed power of 2, at least 16"
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

    content = hashlib.sha256()
    for file in [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]:
        content.update(file.read_bytes())
    digest = content.hexdigest()[:16]
    return ImageSource(
        generate=generate,
        size_px=side,
        facts={"saved_model": digest},
        name=f"saved_model-{digest[:8]}",
    )
