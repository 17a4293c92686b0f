"""Splits a data set into training and validation images."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.errors import UserError

__all__ = ["split_by_name"]


def split_by_name(
    index: CaptionedImages, folder: str | Path, *, val_share: float, seed: int
) -> dict[str, CaptionedImages]:
    """Splits a data set into training and validation by a hash of each image's name.

    The SHA-256 of "seed:name" is taken as a number in [0, 1). Images whose number is
    below `val_share` are for validation. So an image stays in its split when other
    images are added or removed. Neither split is empty.

    Args:
        index: N images.
        folder: names of images are relative to it.
        val_share: in (0, 1).
        seed: any integer.

    Returns:
        "train" and "val".

    Raises:
        UserError: there is only one image.
    """
    if len(index) < 2:
        raise UserError(
            f"{index.paths[0]}: the only image; training and validation need one each"
        )
    names = [Path(os.path.relpath(path, folder)).as_posix() for path in index.paths]
    digests = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    hashes = np.array([int.from_bytes(digest[:6]) / 2**48 for digest in digests])
    is_val = hashes < val_share
    # Neither split may be empty, so the image nearest to the limit changes sides.
    is_val[hashes.argmin()], is_val[hashes.argmax()] = True, False
    note = f"validation: a share of {val_share:g} of the images, by a hash of the name"
    index = dataclasses.replace(index, notes=(*index.notes, note))
    return {
        "train": index.select(np.flatnonzero(~is_val)),
        "val": index.select(np.flatnonzero(is_val)),
    }
