"""Real birdlets for the oracle: decoded, labelled, and an oracle trained on them."""

import json
from pathlib import Path

import keras
import numpy as np
from absl import logging

from mirrorgan_tf.birdlets.attribute_classifier import (
    LabelledImages,
    load_oracle,
    read_attributes,
    save_oracle,
    train_oracle,
)
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.dataset import MANIFEST
from mirrorgan_tf.birdlets.truth import read_codes
from mirrorgan_tf.data.bad_examples import data_errors
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.data.images import decode_images
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["held_out_accuracy", "obtain_oracle", "read_labelled"]


def read_labelled(data_dir: str | Path, split: str, size: int) -> LabelledImages:
    """Decodes a split in the size from which crops of `size` px are cut.

    Raises:
        UserError: the set is missing, broken, or not birdlets.
    """
    index = read_coco(data_dir, split)
    codes = read_codes(data_dir, split, index.image_ids)
    with data_errors():
        decoded = decode_images(index, size)
    side = decoded.shorter_px
    return LabelledImages(np.reshape(decoded.pixels, (-1, side, side, 3)), codes)


def obtain_oracle(
    folder: Path, data_dir: str | Path, size: int, *, seed: int
) -> keras.Model:
    """The oracle of a folder; trains and saves it if none there fits.

    Args:
        folder: where it is kept.
        data_dir: birdlets, whose training split it learns from.
        size: side of the images that it reads.
        seed: of its training.

    Raises:
        UserError: `data_dir` holds no birdlets.
    """
    facts = {"size": size, "seed": seed, "birdlets": _manifest(data_dir)}
    facts["attributes"] = {name: list(values) for name, values in ATTRIBUTES.items()}
    oracle = load_oracle(folder, facts)
    if oracle is not None:
        logging.info("oracle: %s", folder)
        return oracle
    logging.info("training an oracle on the real images of the training split")
    oracle = train_oracle(
        read_labelled(data_dir, "train", size), size, seed=seed, progress=_log_epoch
    )
    save_oracle(oracle, folder, facts)
    return oracle


def held_out_accuracy(oracle: keras.Model, data: LabelledImages) -> dict[str, float]:
    """Accuracy of each attribute on the middle crops of images it never saw."""
    size = oracle.input_shape[1]
    margin = (data.images.shape[1] - size) // 2
    inside = slice(margin, margin + size)
    read = read_attributes(oracle, data.images[:, inside, inside])
    return {name: float(np.mean(read[name] == data.codes[name])) for name in read}


def _manifest(data_dir):
    path = Path(data_dir) / MANIFEST
    try:
        return json.loads(read_bytes(path))
    except (OSError, ValueError):
        raise UserError(
            f"attributes are read back on birdlets only; {path} is missing or damaged"
        ) from None


def _log_epoch(epoch, epochs, loss):
    logging.info("oracle: epoch %d/%d, loss %.2f", epoch, epochs, loss)
