"""Reader of COCO's captions, and of anyone's images in COCO's format."""

import contextlib
import dataclasses
import gc
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.data.reading import (
    UNREADABLE_CHARACTERS,
    check_files,
    check_names,
    has_unreadable_characters,
    index_captioned,
    nearby,
)
from mirrorgan_tf.data.records import CaptionedImages, remark_on
from mirrorgan_tf.data.registry import Dataset
from mirrorgan_tf.data.splits import split_by_name
from mirrorgan_tf.downloads import describe_placeholder
from mirrorgan_tf.encoding import decode_text
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = [
    "CocoDataset",
    "coco_years",
    "read_coco_jsons",
    "read_coco",
]

_SPLITS = ("train", "val")
# The paper's year comes first: it is used where both are complete.
_YEARS = (2014, 2017)


class CocoDataset(Dataset):
    """COCO's captions, or anyone's own JSON files by the `--coco_*` settings."""

    # That of AttnGAN.
    typical_words = 27_297

    @property
    def published_train_images(self) -> int | None:
        """Those of COCO 2014."""
        return None if self.config.data.coco_train_json else 82_783

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether captions of COCO lie in a folder."""
        return bool(coco_years(folder))

    def read(self) -> dict[str, CaptionedImages]:
        """Indexes both splits; one JSON alone is split by the images' names."""
        settings = self.config.data
        if not settings.coco_train_json:
            return read_coco(self.folder)
        files = {"train": (settings.coco_train_json, settings.coco_images)}
        if settings.coco_val_json:
            val_images = settings.coco_val_images or settings.coco_images
            files["val"] = (settings.coco_val_json, val_images)
        splits = read_coco_jsons(
            {
                split: (
                    self.folder / json_file,
                    # People often have the images of each split beside its JSON.
                    [(self.folder / json_file).parent / images, self.folder / images],
                )
                for split, (json_file, images) in files.items()
            }
        )
        if "val" in splits:
            return splits
        return split_by_name(
            splits["train"],
            self.folder / settings.coco_images,
            val_share=settings.val_share,
            seed=settings.seed,
        )


def read_coco(
    data_dir: str | Path, splits: Sequence[str] = _SPLITS
) -> dict[str, CaptionedImages]:
    """Indexes splits of COCO 2014 or 2017 as it is unpacked.

    `annotations/captions_{split}{year}.json` beside the folder `{split}{year}`, or
    `images/{split}{year}`. Where both years are there, 2014 is taken, unless only 2017
    has both splits.

    Args:
        data_dir: folder that holds `annotations` and the image folders.
        splits: "train" and "val", or one of them.

    Raises:
        UserError: the JSON or an image file is missing, or the JSON is not COCO's.
    """
    data_dir = Path(data_dir)
    years = coco_years(data_dir)
    if not years:
        raise UserError(
            f"{data_dir}: no annotations/captions_{splits[0]}2014.json or "
            f"captions_{splits[0]}2017.json; --data_dir must hold COCO's `annotations`"
            + nearby(data_dir, coco_years)
        )
    year, *other_years = years
    return read_coco_jsons(
        {
            split: (
                _annotations(data_dir, split, year),
                [_image_folder(data_dir, f"{split}{year}")],
            )
            for split in splits
        },
        notes=[f"COCO {year}"] + [f"not used: COCO {other}" for other in other_years],
    )


def read_coco_jsons(
    files: Mapping[str, tuple[str | Path, Sequence[str | Path]]],
    *,
    notes: Sequence[str] = (),
) -> dict[str, CaptionedImages]:
    """Indexes the images of captions files, one a split.

    Images come by rising id, their captions by rising annotation id. Empty captions
    are left out, and images without any. Each image is its own class.

    Args:
        files: for each split its JSON, with `images` (id, file_name) and
            `annotations` (id, image_id, caption), and the folders where file names may
            start: the first one that holds the first image is taken.
        notes: first notes of each index.

    Raises:
        UserError: a file or an image is missing, or a file is not in COCO's format.
    """
    with _no_garbage_collection():
        listings = {
            split: _read_listing(Path(path), folders)
            for split, (path, folders) in files.items()
        }
        # Splits may share a folder, so an image listed by any of them is listed.
        listed = {
            os.path.join(os.path.realpath(listing.folder), name)
            for listing in listings.values()
            for name in listing.names
        }
        return {
            split: _index(listing, listed, notes) for split, listing in listings.items()
        }


def _index(listing, listed, notes):
    captioned = [
        name
        for name, captions in zip(listing.names, listing.captions, strict=True)
        if captions
    ]
    file_name = os.path.basename(listing.path)
    unlisted_names = check_files(captioned, listing.folder, file_name)
    real_folder = os.path.realpath(listing.folder)
    unlisted = [
        os.path.join(listing.folder, name)
        for name in unlisted_names
        if os.path.join(real_folder, name) not in listed
    ]
    return index_captioned(
        [os.path.join(listing.folder, name) for name in listing.names],
        listing.captions,
        image_ids=listing.image_ids,
        source=listing.path,
        notes=notes,
        earlier_remarks=(
            *remark_on(UNREADABLE_CHARACTERS, listing.unreadable),
            *remark_on(f"images that {file_name} does not list, left out", unlisted),
            *remark_on(
                f"images with a `split` in {file_name}, not read (each split needs "
                "a JSON of its own)",
                listing.declared_splits,
            ),
        ),
    )


def _annotations(data_dir, split, year):
    return data_dir / "annotations" / f"captions_{split}{year}.json"


def coco_years(data_dir: Path) -> list[int]:
    """The years in a folder: first those with both splits, then the paper's year."""
    splits = {
        year: sum(_annotations(data_dir, split, year).is_file() for split in _SPLITS)
        for year in _YEARS
    }
    return sorted(filter(splits.get, _YEARS), key=splits.get, reverse=True)


def _image_folder(data_dir, name):
    inside = data_dir / "images" / name
    return inside if inside.is_dir() else data_dir / name


@contextlib.contextmanager
def _no_garbage_collection():
    # Half a million dictionaries are built and none is garbage; this halves the time.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclasses.dataclass(frozen=True)
class _Listing:
    """Images by rising id, with their captions by rising annotation id."""

    path: Path
    folder: str | Path
    image_ids: np.ndarray
    names: list[str]
    captions: list[list[str]]
    # Annotations with captions that lost characters, and images with their own splits.
    unreadable: list[str]
    declared_splits: list[str]


def _read_listing(path: Path, folders: Sequence[str | Path]) -> _Listing:
    try:
        raw = read_bytes(path)
        # JSON begins with ASCII, which reveals its encoding without a byte order mark.
        text = decode_text(raw, path, encoding=json.detect_encoding(raw).upper())
        content = json.loads(text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except (ValueError, RecursionError) as error:
        reason = describe_placeholder(raw) or f"not valid JSON ({error})"
        raise UserError(f"{path}: {reason}") from None
    try:
        images, notes = content["images"], content["annotations"]
        image_ids, of_images = _ids(images, "id"), _ids(notes, "image_id")
        note_ids = _ids(notes, "id")
        names, texts = _strings(images, "file_name"), _strings(notes, "caption")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: not COCO captions ({type(error).__name__}: {error}); expected"
            " `images` with id, file_name and `annotations` with id, image_id, caption"
        ) from None
    unreadable = [
        f"{path}: annotation {note_id}"
        for note_id, text in zip(note_ids.tolist(), texts, strict=True)
        if has_unreadable_characters(text)
    ]
    declared_splits = [
        f"{image['file_name']}: {image['split']}"
        for image in images
        if "split" in image
    ]
    order = np.argsort(image_ids, kind="stable")
    image_ids, names = image_ids[order], [names[row] for row in order]
    twice = np.flatnonzero(image_ids[1:] == image_ids[:-1])
    if len(twice):
        row = twice[0]
        raise UserError(
            f"{path}: image {image_ids[row]} is listed twice, {names[row]} and "
            f"{names[row + 1]}"
        )
    unknown = np.setdiff1d(of_images, image_ids)
    if len(unknown):
        raise UserError(
            f"{path}: captions of image {unknown[0]}, which `images` doesn't list "
            f"({len(unknown)} such images)"
        )
    order = np.lexsort((note_ids, of_images))
    texts = [texts[row] for row in order]
    ends = np.searchsorted(of_images[order], image_ids, side="right").tolist()
    captions = [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    check_names(names, path)
    return _Listing(
        path=path,
        folder=_first_holding(names, folders),
        image_ids=image_ids,
        names=names,
        captions=captions,
        unreadable=unreadable,
        declared_splits=declared_splits,
    )


def _first_holding(names, folders):
    """The first folder in which the first image lies, else the first one there is."""
    holds_first = (
        folder for folder in folders if os.path.exists(os.path.join(folder, *names[:1]))
    )
    existing = filter(os.path.isdir, folders)
    return next(holds_first, None) or next(existing, None) or folders[0]


def _ids(entries, key):
    ids = [entry[key] for entry in entries]
    if not set(map(type, ids)) <= {int, str}:
        wrong = next(value for value in ids if type(value) not in (int, str))
        raise TypeError(f"{key} {wrong!r}; expected an integer")
    # Numbers in quotes are accepted.
    return np.array(list(map(int, ids)), np.int64)


def _strings(entries, key):
    strings = [entry[key] for entry in entries]
    if not set(map(type, strings)) <= {str}:
        wrong = next(value for value in strings if type(value) is not str)
        raise TypeError(f"{key} {wrong!r}; expected a string")
    return strings
