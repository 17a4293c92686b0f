"""The attributes of birdlets, and the files that list them for images and captions."""

import json
from pathlib import Path

import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = [
    "ATTRIBUTES",
    "read_caption_attributes",
    "read_codes",
    "sample_attributes",
]

# Attribute -> its values. Attributes are sampled independently and uniformly.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "body_color": (
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
    ),
    "wing_color": ("red", "yellow", "green", "blue", "brown", "black", "white", "gray"),
    "belly_color": ("white", "yellow", "orange", "red", "gray", "brown"),
    "head_color": ("red", "yellow", "green", "blue", "black", "white", "gray"),
    "beak_length": ("short", "medium", "long"),
    "beak_color": ("yellow", "orange", "red", "black"),
    "direction": ("left", "right"),
    "size": ("small", "medium", "large"),
    "pose": ("standing", "leaning", "flying"),
    "shape": ("songbird", "wren", "swallow", "duck", "heron"),
    "crest": ("crested", "smooth"),
    "tail": ("short", "long"),
    "wing_pattern": ("plain", "barred"),
    "perch": ("branch", "rock", "post"),
    "background": ("sky", "water", "leaves", "meadow", "sunset"),
}


def sample_attributes(rng: np.random.Generator) -> dict[str, str]:
    """One value for every attribute, independent and uniform."""
    return {
        name: values[int(rng.integers(len(values)))]
        for name, values in ATTRIBUTES.items()
    }


def read_caption_attributes(
    data_dir: str | Path, split: str
) -> dict[tuple[int, str], dict[str, str]]:
    """Reads the attributes that the captions of a split state.

    Returns:
        (image id, caption) -> attribute -> value.

    Raises:
        UserError: the file is missing, damaged, or not written by birdlets.
    """
    path = Path(data_dir) / "annotations" / f"captions_{split}2014.json"
    entries = _read(path, "annotations", ("image_id", "caption", "states"))
    return {(entry["image_id"], entry["caption"]): entry["states"] for entry in entries}


def read_codes(
    data_dir: str | Path, split: str, image_ids: np.ndarray
) -> dict[str, np.ndarray]:
    """Reads the true attributes of images.

    Args:
        data_dir: folder of the data set.
        split: "train" or "val".
        image_ids: (N,), ids of the images.

    Returns:
        Attribute -> (N,) int32, positions in `ATTRIBUTES[attribute]`.

    Raises:
        UserError: the file is missing, damaged, not written by birdlets, or lacks an
            image.
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
        missing = [
            name for name in fields if any(name not in entry for entry in entries)
        ]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; only birdlets has it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error})") from None
    if missing:
        raise UserError(f"{path}: has no `{missing[0]}`: not written by birdlets")
    return entries
