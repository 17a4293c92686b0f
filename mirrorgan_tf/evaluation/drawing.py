"""What draws the images that are evaluated: a run, or a SavedModel."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.features import fingerprint
from mirrorgan_tf.mirrorgan import MirrorGAN
from mirrorgan_tf.serving.loading import load_saved_model

__all__ = ["Drawer", "open_run_drawer", "open_saved_model_drawer"]

_SIGNATURE = "seeded"


@dataclasses.dataclass(frozen=True)
class Drawer:
    """A model that draws.

    Attributes:
        draw: captions and seeds (B,) to images (B, S, S, 3) uint8.
        side_px: S.
        facts: JSON values that tell it from all others.
        name: of a folder for what it draws.
    """

    draw: Callable[[Sequence[str], Sequence[int]], np.ndarray]
    side_px: int
    facts: dict
    name: str


def open_run_drawer(run: MirrorGAN) -> Drawer:
    """The averaged generator of a run."""

    def draw(captions, seeds):
        return run.generate(captions, seed=seeds, batch_size=len(captions))

    weights = fingerprint([*run.stem.weights, *run.glam.weights])
    return Drawer(
        draw=draw,
        side_px=run.config.sizes[-1],
        facts={"step": run.step, "weights": weights},
        name=f"step{run.step}",
    )


def open_saved_model_drawer(path: str | Path) -> Drawer:
    """Any SavedModel with our signature `seeded`.

    Raises:
        UserError: there is none, or its signature is another.
    """
    loaded, folder = load_saved_model(path, _SIGNATURE)
    signature = loaded.signatures[_SIGNATURE]
    image = signature.structured_outputs.get("image")
    takes = signature.structured_input_signature[1].keys()
    if takes != {"caption", "seed"} or image is None or image.shape[1] is None:
        raise UserError(
            f"--saved_model={path}: signature {_SIGNATURE} must take caption and seed "
            "and give image, of a fixed size"
        )

    def draw(captions, seeds):
        try:
            return signature(
                caption=tf.constant(list(captions)), seed=tf.constant(seeds, tf.int64)
            )["image"].numpy()
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f"--saved_model={path}: {str(error).splitlines()[0]}; a smaller "
                "--batch_size may help"
            ) from None

    digest = _digest(folder)
    return Drawer(
        draw=draw,
        side_px=image.shape[1],
        facts={"saved_model": digest},
        name=f"saved_model-{digest[:8]}",
    )


def _digest(folder):
    digest = hashlib.sha256()
    for file in [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
