"""Reads COCO's captions, and other images with captions in COCO's JSON format."""

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
# If both are complete, the first one, which is the paper's, is read.
_YEARS = (2014, 2017)


class CocoDataset(Dataset):
    """COCO's captions, or the JSON files that the `--coco_*` settings name."""

    # Size of AttnGAN's vocabulary.
    typical_words = 27_297

    @property
    def published_train_images(self) -> int | None:
        """The number in COCO 2014; None for other JSON files."""
        return None if self.config.data.coco_train_json else 82_783

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder contains COCO's annotations."""
        return bool(coco_years(folder))

    def read(self) -> dict[str, CaptionedImages]:
        """Indexes both splits; a single JSON is split by the names of its images."""
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
                    # The images of a split are often beside its JSON.
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

    Reads `annotations/captions_{split}{year}.json` and the images in `{split}{year}` or
    `images/{split}{year}`. If both years exist, 2014 is read, unless only 2017 has both
    splits.

    Args:
        data_dir: folder that contains `annotations` and the folders of images.
        splits: "train" and "val", or one of them.

    Raises:
        UserError: a JSON or an image file is missing, or a JSON is not COCO's.
    """
    data_dir = Path(data_dir)
    years = coco_years(data_dir)
    if not years:
        raise UserError(
            f"{data_dir}: no annotations/captions_{splits[0]}2014.json or "
            f"captions_{splits[0]}2017.json; --data_dir must contain COCO's "
            "`annotations`"
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
    """Indexes the images of JSON files in COCO's format, one file a split.

    Images are ordered by id, their captions by annotation id. Empty captions and images
    without a caption are left out. Each image is its own class.

    Args:
        files: for each split its JSON, with `images` (id, file_name) and
            `annotations` (id, image_id, caption), and folders to which file names may
            be relative: the first one that contains the first image is used.
        notes: notes of each index.

    Raises:
        UserError: a file or an image is missing, or a file is not in COCO's format.
    """
    # Building half a million dictionaries takes twice as long with garbage collection.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        listings = {
            split: _read_listing(Path(path), folders)
            for split, (path, folders) in files.items()
        }
        # Splits may share a folder of images, which no single JSON lists completely.
        listed = {
            os.path.join(os.path.realpath(listing.folder), name)
            for listing in listings.values()
            for name in listing.names
        }
        return {
            split: _index(listing, listed, notes) for split, listing in listings.items()
        }
    finally:
        if was_enabled:
            gc.enable()


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
                f"images with a `split` in {file_name}, which is not read (each split "
                "needs its own JSON)",
                listing.declared_splits,
            ),
        ),
    )


def _annotations(data_dir, split, year):
    return data_dir / "annotations" / f"captions_{split}{year}.json"


def coco_years(data_dir: Path) -> list[int]:
    """The years in a folder, the one to be read first."""
    splits = {
        year: sum(_annotations(data_dir, split, year).is_file() for split in _SPLITS)
        for year in _YEARS
    }
    return sorted(filter(splits.get, _YEARS), key=splits.get, reverse=True)


def _image_folder(data_dir, name):
    inside = data_dir / "images" / name
    return inside if inside.is_dir() else data_dir / name


@dataclasses.dataclass(frozen=True)
class _Listing:
    """The content of a JSON: images by id, their captions by annotation id."""

    path: Path
    folder: str | Path
    image_ids: np.ndarray
    names: list[str]
    captions: list[list[str]]
    # Names of annotations with characters that can't be read.
    unreadable: list[str]
    # Images with a `split` of their own, as in Karpathy's JSON.
    declared_splits: list[str]


def _read_json(path):
    try:
        raw = read_bytes(path)
        # JSON begins with ASCII, so its first bytes reveal its encoding.
        text = decode_text(raw, path, encoding=json.detect_encoding(raw).upper())
        return json.loads(text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except (ValueError, RecursionError) as error:
        reason = describe_placeholder(raw) or f"not valid JSON ({error})"
        raise UserError(f"{path}: {reason}") from None


def _read_listing(path: Path, folders: Sequence[str | Path]) -> _Listing:
    content = _read_json(path)
    try:
        images, annotations = content["images"], content["annotations"]
        image_ids = _ids(images, "id")
        annotation_ids = _ids(annotations, "id")
        annotated_image_ids = _ids(annotations, "image_id")
        names, texts = _strings(images, "file_name"), _strings(annotations, "caption")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: not COCO captions ({type(error).__name__}: {error}); expected"
            " `images` with id, file_name and `annotations` with id, image_id, caption"
        ) from None
    unreadable = [
        f"{path}: annotation {annotation_id}"
        for annotation_id, text in zip(annotation_ids.tolist(), texts, strict=True)
        if has_unreadable_characters(text)
    ]
    declared_splits = [
        f"{image['file_name']}: {image['split']}"
        for image in images
        if "split" in image
    ]
    order = np.argsort(image_ids, kind="stable")
    image_ids, names = image_ids[order], [names[row] for row in order]
    repeated = np.flatnonzero(image_ids[1:] == image_ids[:-1])
    if len(repeated):
        row = repeated[0]
        raise UserError(
            f"{path}: image {image_ids[row]} is listed twice, {names[row]} and "
            f"{names[row + 1]}"
        )
    unknown = np.setdiff1d(annotated_image_ids, image_ids)
    if len(unknown):
        raise UserError(
            f"{path}: captions of image {unknown[0]}, which `images` doesn't list "
            f"({len(unknown)} such images)"
        )
    order = np.lexsort((annotation_ids, annotated_image_ids))
    texts = [texts[row] for row in order]
    ends = np.searchsorted(annotated_image_ids[order], image_ids, side="right").tolist()
    captions = [texts[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    check_names(names, path)
    return _Listing(
        path=path,
        folder=_choose_folder(names, folders),
        image_ids=image_ids,
        names=names,
        captions=captions,
        unreadable=unreadable,
        declared_splits=declared_splits,
    )


def _choose_folder(names, folders):
    """The first folder that contains the first image, or else the first that exists."""
    for folder in folders:
        if os.path.exists(os.path.join(folder, *names[:1])):
            return folder
    return next(filter(os.path.isdir, folders), folders[0])


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
