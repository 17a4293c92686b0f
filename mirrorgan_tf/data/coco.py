"""Reader of COCO's captions, and of anyone's images in COCO's format."""

import contextlib
import gc
import json
import os
from pathlib import Path

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.reading import (
    check_files,
    check_names,
    index_captioned,
    nearby,
)
from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["read_coco", "read_coco_json"]

_SPLITS = ("train", "val")
# The paper's first: it is taken where both are whole.
_YEARS = (2014, 2017)


def read_coco(data_dir: str | Path, split: str) -> CaptionedImages:
    """Indexes a split of COCO 2014 or 2017 as it is unpacked.

    `annotations/captions_{split}{year}.json` beside the folder `{split}{year}`, or
    `images/{split}{year}`. Where both are there, 2014 is taken,
    unless only 2017 has both splits.

    Args:
        data_dir: folder that holds `annotations` and the image folders.
        split: "train" or "val".

    Raises:
        UserError: the JSON or an image file is missing, or the JSON is not COCO's.
        ValueError: split is neither "train" nor "val".
    """
    if split not in _SPLITS:
        raise ValueError(f"split={split!r}; expected 'train' or 'val'")
    data_dir = Path(data_dir)
    years = _years(data_dir)
    if not years:
        raise UserError(
            f"{data_dir}: no annotations/captions_{split}2014.json or "
            f"captions_{split}2017.json; --data_dir must hold COCO's `annotations`"
            + nearby(data_dir, _years)
        )
    year, *others = years
    return read_coco_json(
        _annotations(data_dir, split, year),
        _image_folder(data_dir, f"{split}{year}"),
        notes=[f"COCO {year}"] + [f"not used: COCO {other}" for other in others],
    )


def read_coco_json(
    path: str | Path, folder: str | Path, *, notes: list[str] | None = None
) -> CaptionedImages:
    """Indexes the images of one captions file.

    Images come by rising id, their captions by rising annotation id. Empty captions
    are left out, and images without any. Each image is its own class.

    Args:
        path: JSON with `images` (id, file_name) and `annotations` (id, image_id,
            caption).
        folder: where file names start.
        notes: first notes of the index.

    Raises:
        UserError: the file or an image is missing, or the file says nonsense.
    """
    with _no_garbage_collection():
        names, captions = _read_captions(Path(path))
    image_ids = sorted(names)
    listed = [names[image_id] for image_id in image_ids]
    check_names(listed, path)
    check_files(
        [names[image_id] for image_id in image_ids if image_id in captions],
        folder,
        os.path.basename(path),
    )
    return index_captioned(
        [os.path.join(folder, name) for name in listed],
        [captions.get(image_id, ()) for image_id in image_ids],
        image_ids=image_ids,
        source=path,
        notes=notes or (),
    )


def _annotations(data_dir, split, year):
    return data_dir / "annotations" / f"captions_{split}{year}.json"


def _years(data_dir):
    """The years that are there: those with both splits first, then the paper's."""
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
    # Half a million dictionaries are made and none is garbage: half the time.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_captions(path: Path) -> tuple[dict[int, str], dict[int, list[str]]]:
    """File names and captions by image id."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None
    try:
        images, notes = content["images"], content["annotations"]
        names = {_id(image["id"]): _text(image["file_name"]) for image in images}
        captions: dict[int, list[str]] = {}
        for note in sorted(notes, key=lambda note: _id(note["id"])):
            captions.setdefault(_id(note["image_id"]), []).append(
                _text(note["caption"])
            )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not COCO captions ({type(error).__name__}: {error}); expected"
            " `images` with id, file_name and `annotations` with id, image_id, caption"
        ) from None
    if len(names) < len(images):
        raise UserError(f"{path}: {_twice(images)}")
    unknown = captions.keys() - names.keys()
    if unknown:
        raise UserError(
            f"{path}: captions of image {min(unknown)}, which `images` doesn't list"
        )
    return names, captions


def _id(value):
    if isinstance(value, str):
        value = int(value)
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise TypeError(f"id {value!r}; expected a 64-bit integer")


def _text(value):
    if isinstance(value, str):
        return value
    raise TypeError(f"{value!r}; expected a string")


def _twice(images):
    seen = {}
    for image in images:
        image_id, name = _id(image["id"]), image["file_name"]
        if image_id in seen:
            return f"image {image_id} is listed twice, {seen[image_id]} and {name}"
        seen[image_id] = name
    return ""
