"""Reads CUB-200-2011 with captions, as unpacked or with AttnGAN's archive."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.data.datasets.cub_split import Bird, Split, find_split
from mirrorgan_tf.data.reading import (
    check_files,
    check_names,
    index_captioned,
    read_caption_files,
)
from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.data.registry import Dataset
from mirrorgan_tf.encoding import read_text
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import read_captions_pickle

__all__ = ["CubDataset", "find_cub", "read_cub"]

_CAPTIONS = 10
# Class ids are int32.
_LARGEST_ID = 2**31 - 1


class CubDataset(Dataset):
    """CUB-200-2011 with captions."""

    published_train_images = 8_855

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder, or `CUB_200_2011` in it, is CUB's."""
        return find_cub(folder) is not None

    def read(self) -> dict[str, CaptionedImages]:
        """Indexes both splits."""
        return read_cub(self.folder)


def read_cub(data_dir: str | Path) -> dict[str, CaptionedImages]:
    """Indexes both splits; images in the order of their ids, with boxes and class ids.

    These are read:

    - `images.txt`, `image_class_labels.txt`, `bounding_boxes.txt` and `images/` in
      `data_dir`, or in `CUB_200_2011` or `birds/CUB_200_2011` inside it;
    - captions, in that folder or beside it: Reed et al.'s
      `text_c10/<class>/<image>.txt` or `text/…`, one a line, the first 10; otherwise
      AttnGAN's `captions.pickle`;
    - the split: see `find_split`. `train_test_split.txt` is not read, because its parts
      share classes.

    Args:
        data_dir: any of these folders, or their parent.

    Returns:
        "train" and "val".

    Raises:
        UserError: something is missing, broken or contradicts another file.
    """
    data_dir = Path(data_dir)
    home = find_cub(data_dir)
    if home is None:
        raise UserError(
            f"{data_dir}: no CUB-200-2011 (images.txt, images/) here or in CUB_200_2011"
        )
    around = (home, home.absolute().parent)
    places = [
        place / name for place in around for name in ("", "birds", "cvpr2016_cub")
    ]
    birds = _read_birds(home)
    split = find_split(places, birds)
    captions, note, remarks = _read_captions(places, split)
    captioned = [birds[key].name for key in captions]
    unlisted_names = check_files(captioned, home / "images", home / "images.txt")
    listed = {bird.name for bird in birds.values()}
    unlisted = [name for name in unlisted_names if name not in listed]
    remarks += split.remarks
    remarks += remark_on("images that images.txt does not list, left out", unlisted)
    return {
        name: _index(
            home, [birds[key] for key in keys], captions, [split.note, note], remarks
        )
        for name, keys in (("train", split.train), ("val", split.val))
    }


def find_cub(data_dir: Path) -> Path | None:
    """The folder of `images.txt`: `data_dir` or a folder in it, or None."""
    names = ("", "CUB_200_2011", "birds/CUB_200_2011")
    for home in (data_dir / name for name in names):
        if (home / "images.txt").is_file():
            return home
    return None


def _index(home, birds, captions, notes, remarks):
    birds = sorted(birds, key=lambda bird: bird.image_id)
    return index_captioned(
        [os.path.join(home, "images", bird.name) for bird in birds],
        [captions[bird.key] for bird in birds],
        image_ids=[bird.image_id for bird in birds],
        class_ids=[bird.class_id for bird in birds],
        boxes=np.array([bird.box for bird in birds], np.float32),
        source=home,
        notes=notes,
        earlier_remarks=remarks,
    )


def _read_birds(home: Path) -> dict[str, Bird]:
    """All images by key, the file name without its suffix."""
    names = _read_table(home / "images.txt", str)
    classes = _read_table(home / "image_class_labels.txt", int)
    boxes = _read_table(home / "bounding_boxes.txt", float, float, float, float)
    for table, file in (
        (classes, "image_class_labels.txt"),
        (boxes, "bounding_boxes.txt"),
    ):
        if differing := names.keys() ^ table.keys():
            raise UserError(
                f"{home / file}: image {min(differing)} is listed either here or in "
                f"images.txt, not in both ({len(differing)} such images)"
            )
    check_names([name for (name,) in names.values()], home / "images.txt")
    birds = [
        Bird(image_id, name, classes[image_id][0], boxes[image_id])
        for image_id, (name,) in names.items()
    ]
    for bird in birds:
        if not (np.isfinite(bird.box).all() and min(bird.box[2:]) > 0):
            raise UserError(
                f"{home / 'bounding_boxes.txt'}: image {bird.image_id} has the box "
                f"{bird.box}; expected left, top, width, height"
            )
    by_key = {bird.key: bird for bird in birds}
    if len(by_key) < len(birds):
        duplicate = next(bird for bird in birds if by_key[bird.key] != bird)
        raise UserError(
            f"{home / 'images.txt'}: {duplicate.name} and {by_key[duplicate.key].name} "
            "differ only in their suffix, and would share their captions; rename one"
        )
    return by_key


def _read_table(path: Path, *kinds: type) -> dict[int, tuple]:
    """Reads lines of an id and values of these types; returns the values by id."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise UserError(
            f"{path}: can't be read ({error}); it comes with CUB-200-2011"
        ) from None
    rows = {}
    for number, line in enumerate(lines, start=1):
        first, *fields = line.split(maxsplit=len(kinds)) or [""]
        try:
            values = tuple(
                kind(field.strip()) for kind, field in zip(kinds, fields, strict=True)
            )
            image_id = int(first)
            integers = [v for v in (image_id, *values) if isinstance(v, int)]
            if any(abs(value) > _LARGEST_ID for value in integers):
                raise ValueError
        except ValueError:
            raise UserError(
                f"{path}: line {number} is {line[:80]!r}; expected an id and "
                f"{len(kinds)} more"
            ) from None
        if image_id in rows:
            raise UserError(f"{path}: line {number} repeats image {image_id}")
        rows[image_id] = values
    return rows


def _read_captions(
    places: Sequence[Path], split: Split
) -> tuple[Mapping[str, list[str]], str, tuple[Remark, ...]]:
    """Returns captions by key, a note that names their source, and remarks."""
    keys = [*split.train, *split.val]
    subfolders = {os.path.dirname(key) for key in keys}
    for place in places:
        for name in ("text_c10", "text"):
            if any((place / name / subfolder).is_dir() for subfolder in subfolders):
                captions, remarks = _read_texts(place / name, keys)
                return captions, f"captions: {place / name}", remarks
    pickled = split.archive / "captions.pickle" if split.archive else None
    if pickled and pickled.is_file():
        return _read_pickled(pickled, split), f"captions: {pickled}", ()
    for place in places:
        if (place / "text.zip").is_file():
            raise UserError(f"{place / 'text.zip'}: unpack it; it contains captions")
    raise UserError(
        f"{places[0]}: no captions; put Reed et al.'s text_c10 or AttnGAN's text into "
        "this folder or beside it"
    )


def _read_texts(folder, keys):
    paths = [os.path.join(folder, f"{key}.txt") for key in keys]
    texts, remarks = read_caption_files(paths)
    missing = [path for path, text in zip(paths, texts, strict=True) if text is None]
    if missing:
        raise UserError(
            f"{missing[0]}: no such file, but its image is listed "
            f"({len(missing)} missing in all)"
        )
    surplus = [
        f"in {path}"
        for path, text in zip(paths, texts, strict=True)
        for _ in text[_CAPTIONS:]
    ]
    unused = sorted({str(path) for path in folder.glob("*/*.txt")}.difference(paths))
    remarks += remark_on(f"captions after an image's {_CAPTIONS}, left out", surplus)
    remarks += remark_on("text files without an image of the split, left out", unused)
    captions = {key: text[:_CAPTIONS] for key, text in zip(keys, texts, strict=True)}
    return captions, remarks


def _read_pickled(path: Path, split: Split) -> dict[str, list[str]]:
    train, test, vocabulary = read_captions_pickle(path)
    captions = {}
    for keys, rows in ((split.train, train), (split.val, test)):
        try:
            texts = [" ".join(map(vocabulary.word, row)) for row in rows]
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: a caption has unknown words ({error})") from None
        if len(texts) != _CAPTIONS * len(keys):
            raise UserError(
                f"{path}: {len(texts)} captions for the {len(keys)} images of a "
                f"filenames.pickle; expected {_CAPTIONS} each"
            )
        for place, key in enumerate(keys):
            captions[key] = texts[place * _CAPTIONS : (place + 1) * _CAPTIONS]
    return captions
