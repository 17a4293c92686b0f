"""Splits CUB into training and validation images that share no class."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mirrorgan_tf.data.records import Remark, remark_on
from mirrorgan_tf.encoding import read_text
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.pickles.reading import load_plain_pickle

__all__ = ["Bird", "Split", "find_split"]

# Without a published split, every fourth class is for validation.
_VAL_CLASS_STEP = 4
_CLASS_LISTS = ("trainvalclasses.txt", "testclasses.txt")


@dataclasses.dataclass(frozen=True)
class Bird:
    """One image of CUB.

    Attributes:
        image_id: from images.txt.
        name: file name with the folder of its class.
        class_id: from 1.
        box: left, top, width, height in px.
    """

    image_id: int
    name: str
    class_id: int
    box: tuple[float, float, float, float]

    @property
    def key(self) -> str:
        """The name without its suffix, as in AttnGAN's pickles and captions."""
        return os.path.splitext(self.name)[0]

    @property
    def folder(self) -> str:
        """The folder of the class."""
        return os.path.dirname(self.name)


@dataclasses.dataclass(frozen=True)
class Split:
    """The keys of the birds of both splits.

    Attributes:
        train: keys, in the order of the source.
        val: likewise.
        note: names the source.
        archive: folder of AttnGAN's archive, if it is the source.
        remarks: on images that are in neither split.
    """

    train: Sequence[str]
    val: Sequence[str]
    note: str
    archive: Path | None = None
    remarks: tuple[Remark, ...] = ()


def find_split(places: Sequence[Path], birds: Mapping[str, Bird]) -> Split:
    """Reads the split from the first of these sources that exists.

    1. AttnGAN's `train/filenames.pickle` and `test/filenames.pickle`.
    2. Reed et al.'s `trainvalclasses.txt` and `testclasses.txt`.
    3. Neither: every fourth class is for validation, 50 of 200. This is not the split
       of published results.

    Args:
        places: folders in which to search.
        birds: all images by key.

    Raises:
        UserError: a file is missing or broken, lists an unknown image or class, or the
            splits overlap.
    """
    for place in places:
        if any(_filenames(place, part).is_file() for part in ("train", "test")):
            return _from_archive(place, birds)
    for place in places:
        if any((place / name).is_file() for name in _CLASS_LISTS):
            return _from_class_lists(place, birds)
    note = (
        "split: every fourth class is for validation; for that of the papers add "
        "AttnGAN's filenames.pickle or Reed et al.'s trainvalclasses.txt"
    )
    if (places[0] / "train_test_split.txt").is_file():
        note += " (train_test_split.txt is not used: its parts share classes)"
    is_val = {key: bird.class_id % _VAL_CLASS_STEP == 0 for key, bird in birds.items()}
    return _split(
        [key for key in birds if not is_val[key]],
        [key for key in birds if is_val[key]],
        note,
        places[0],
    )


def _filenames(place, part):
    return place / part / "filenames.pickle"


def _from_archive(place, birds):
    parts = {part: _load_keys(_filenames(place, part)) for part in ("train", "test")}
    for part, keys in parts.items():
        if unknown := [key for key in keys if key not in birds]:
            raise UserError(
                f"{_filenames(place, part)}: {unknown[0]!r} is not in images.txt "
                f"({len(unknown)} such images)"
            )
        if len(set(keys)) < len(keys):
            raise UserError(f"{_filenames(place, part)}: lists an image twice")
    if overlap := set(parts["train"]) & set(parts["test"]):
        raise UserError(f"{place}: {min(overlap)} is in both train and test")
    listed = {*parts["train"], *parts["test"]}
    neither = [bird.name for key, bird in birds.items() if key not in listed]
    return _split(
        *parts.values(),
        f"split: filenames.pickle of {place}",
        place,
        archive=place,
        remarks=remark_on("images in neither filenames.pickle, left out", neither),
    )


def _load_keys(path):
    keys = load_plain_pickle(path)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UserError(f"{path}: not AttnGAN's; expected a list of file names")
    return keys


def _from_class_lists(place, birds):
    parts, listed = [], set()
    folders = {bird.folder for bird in birds.values()}
    for name in _CLASS_LISTS:
        try:
            classes = set(read_text(place / name).split())
        except OSError as error:
            raise UserError(f"{place / name}: can't be read ({error})") from None
        if unknown := classes - folders:
            raise UserError(f"{place / name}: {min(unknown)!r} is not in images.txt")
        listed |= classes
        parts.append([key for key, bird in birds.items() if bird.folder in classes])
    if overlap := set(parts[0]) & set(parts[1]):
        folder = birds[min(overlap)].folder
        raise UserError(f"{place}: class {folder} is in both lists of classes")
    neither = [bird.name for bird in birds.values() if bird.folder not in listed]
    classes = len(folders - listed)
    return _split(
        *parts,
        f"split: trainvalclasses.txt of {place}",
        place,
        remarks=remark_on(
            f"images of the {classes} classes in neither list, left out", neither
        ),
    )


def _split(train, val, note, source, *, archive=None, remarks=()):
    if not train or not val:
        empty = "validation" if train else "training"
        raise UserError(f"{source}: the split leaves no image for {empty}")
    return Split(train, val, note, archive, remarks)
