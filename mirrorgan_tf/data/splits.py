"""Rows of an index, and its split into training and validation images."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.errors import UserError

__all__ = ["split_by_name", "take"]


def take(index: CaptionedImages, rows: Sequence[int] | np.ndarray) -> CaptionedImages:
    """An index of these rows, in this order."""
    rows = np.asarray(rows, np.int64)
    columns = {}
    for field in dataclasses.fields(index):
        column = getattr(index, field.name)
        if isinstance(column, np.ndarray):
            columns[field.name] = column[rows]
        elif field.name not in ("notes", "remarks") and column is not None:
            columns[field.name] = tuple(column[row] for row in rows.tolist())
    return dataclasses.replace(index, **columns)


def split_by_name(
    index: CaptionedImages, folder: str | Path, *, val_share: float, seed: int
) -> dict[str, CaptionedImages]:
    """Splits a set in two by its images' names alone.

    An image is for validation where the SHA-256 of "seed:name", a number in [0, 1),
    is below the share: it stays there when others come or go. Neither part is empty.

    Args:
        index: N images.
        folder: where the names of the images start; not a part of them.
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
    places = np.array([int.from_bytes(digest[:6]) / 2**48 for digest in digests])
    val = places < val_share
    # Neither split may be empty: move the image with the nearest hash.
    val[places.argmin()], val[places.argmax()] = True, False
    note = f"validation: a share of {val_share:g} of the images, by a hash of the name"
    index = dataclasses.replace(index, notes=(*index.notes, note))
    return {
        "train": take(index, np.flatnonzero(~val)),
        "val": take(index, np.flatnonzero(val)),
    }
