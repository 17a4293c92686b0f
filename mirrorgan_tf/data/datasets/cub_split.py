"""The split of CUB into training and validation images that share no class."""

import dataclasses
import numbers
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mirrorgan_tf.data.records import Remark, remark_on
from mirrorgan_tf.encoding import read_text
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.pickles.reading import load_plain_pickle

__all__ = ["Bird", "Split", "find_split"]

_EVERY = 4
_CLASS_LISTS = ("trainvalclasses.txt", "testclasses.txt")


@dataclasses.dataclass(frozen=True)
class Bird:
    """One image of CUB.

    Attributes:
        image_id: from images.txt.
        name: file name with its class's folder.
        class_id: from 1.
        box: left, top, width, height in px.
    """

    image_id: int
    name: str
    class_id: int
    box: tuple[float, float, float, float]

    @property
    def key(self) -> str:
        """The name without its ending, as captions and pickles have it."""
        return os.path.splitext(self.name)[0]

    @property
    def folder(self) -> str:
        """The class's folder."""
        return os.path.dirname(self.name)


@dataclasses.dataclass(frozen=True)
class Split:
    """Keys of both splits, and their source.

    Attributes:
        train: keys, in the order of the split's source.
        val: likewise.
        note: the source.
        archive: folder of AttnGAN's archive, if that was the source.
        remarks: on images that are in neither part.
    """

    train: Sequence[str]
    val: Sequence[str]
    note: str
    archive: Path | None = None
    remarks: tuple[Remark, ...] = ()


def find_split(places: Sequence[Path], birds: Mapping[str, Bird]) -> Split:
    """Reads the first of these that is in one of the places.

    1. AttnGAN's `train/filenames.pickle` and `test/filenames.pickle`, with
       `class_info.pickle` beside each, which must group images as CUB does.
    2. Reed et al.'s `trainvalclasses.txt` and `testclasses.txt`.
    3. Neither: every fourth class is for validation, 50 of 200. Not the split that
       papers report on.

    Raises:
        UserError: a file is missing or names what is not there; parts overlap.
    """
    for place in places:
        if any(_pickle(place, part).is_file() for part in ("train", "test")):
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
    is_val = {key: bird.class_id % _EVERY == 0 for key, bird in birds.items()}
    return _split(
        [key for key in birds if not is_val[key]],
        [key for key in birds if is_val[key]],
        note,
        places[0],
    )


def _pickle(place, part, name="filenames"):
    return place / part / f"{name}.pickle"


def _from_archive(place, birds):
    parts = {part: _load_list(_pickle(place, part)) for part in ("train", "test")}
    for part, keys in parts.items():
        if unknown := [key for key in keys if key not in birds]:
            raise UserError(
                f"{_pickle(place, part)}: {unknown[0]!r} is not in images.txt "
                f"({len(unknown)} such images)"
            )
        if len(set(keys)) < len(keys):
            raise UserError(f"{_pickle(place, part)}: lists an image twice")
    if overlap := set(parts["train"]) & set(parts["test"]):
        raise UserError(f"{place}: {min(overlap)} is in both train and test")
    for part, keys in parts.items():
        _check_classes(_pickle(place, part, "class_info"), [birds[key] for key in keys])
    chosen = {*parts["train"], *parts["test"]}
    neither = [bird.name for key, bird in birds.items() if key not in chosen]
    return _split(
        *parts.values(),
        f"split: filenames.pickle of {place}",
        place,
        archive=place,
        remarks=remark_on("images in neither filenames.pickle, left out", neither),
    )


def _check_classes(path, birds):
    """Checks that AttnGAN's class ids group images as CUB's, with any numbers."""
    if not path.is_file():
        return
    class_ids = _load_list(path)
    if len(class_ids) != len(birds):
        raise UserError(
            f"{path}: {len(class_ids)} classes for the {len(birds)} images of the "
            "filenames.pickle beside it"
        )
    pairs = {
        (class_id, bird.class_id)
        for class_id, bird in zip(class_ids, birds, strict=True)
    }
    archive_classes = {class_id for class_id, _ in pairs}
    cub_classes = {class_id for _, class_id in pairs}
    if not len(pairs) == len(archive_classes) == len(cub_classes):
        raise UserError(f"{path}: its classes are not those of image_class_labels.txt")


def _load_list(path):
    values = load_plain_pickle(path)
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, list | tuple):
        raise UserError(f"{path}: holds a {type(values).__name__}; expected a list")
    if not all(isinstance(value, str | numbers.Integral) for value in values):
        raise UserError(f"{path}: expected names or numbers only")
    return values


def _from_class_lists(place, birds):
    parts, chosen = [], set()
    folders = {bird.folder for bird in birds.values()}
    for name in _CLASS_LISTS:
        try:
            classes = set(read_text(place / name).split())
        except OSError as error:
            raise UserError(f"{place / name}: can't be read ({error})") from None
        if unknown := classes - folders:
            raise UserError(f"{place / name}: {min(unknown)!r} is not in images.txt")
        chosen |= classes
        parts.append([key for key, bird in birds.items() if bird.folder in classes])
    if overlap := set(parts[0]) & set(parts[1]):
        folder = birds[min(overlap)].folder
        raise UserError(f"{place}: class {folder} is in both lists of classes")
    neither = [bird.name for bird in birds.values() if bird.folder not in chosen]
    classes = len(folders - chosen)
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
