"""Reads what birdlets' captions claim and what its pictures show."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["Claim", "read_claims", "read_codes"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A caption with what it states.

    Attributes:
        image_id: the picture it was written for.
        caption: the text.
        states: attribute -> value.
    """

    image_id: int
    caption: str
    states: dict[str, str]


def read_claims(data_dir: str | Path, split: str) -> list[Claim]:
    """All captions of a split, by rising annotation id.

    Raises:
        UserError: the file is missing, or it is no birdlets'.
    """
    path = Path(data_dir) / "annotations" / f"captions_{split}2014.json"
    notes = _read(path, "annotations", ("id", "image_id", "caption", "states"))
    return [
        Claim(note["image_id"], note["caption"], note["states"])
        for note in sorted(notes, key=lambda note: note["id"])
    ]


def read_codes(
    data_dir: str | Path, split: str, image_ids: np.ndarray
) -> dict[str, np.ndarray]:
    """The true attributes of pictures.

    Args:
        data_dir: folder of the set.
        split: "train" or "val".
        image_ids: (N,) which pictures.

    Returns:
        Attribute -> (N,) int32, places in `ATTRIBUTES[attribute]`.

    Raises:
        UserError: the file is missing, it is no birdlets', or lacks a picture.
    """
    path = Path(data_dir) / "annotations" / f"attributes_{split}2014.json"
    entries = _read(path, "images", ("id", *ATTRIBUTES))
    by_id = {entry["id"]: entry for entry in entries}
    try:
        chosen = [by_id[int(image_id)] for image_id in image_ids]
        return {
            name: np.array([values.index(entry[name]) for entry in chosen], np.int32)
            for name, values in ATTRIBUTES.items()
        }
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path}: does not fit the captions or this version of birdlets ({error})"
        ) from None


def _read(path, key, fields):
    try:
        entries = json.loads(read_bytes(path))[key]
        missing = [name for name in fields if any(name not in one for one in entries)]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; only birdlets has it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error})") from None
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`: not written by birdlets")
    return entries
