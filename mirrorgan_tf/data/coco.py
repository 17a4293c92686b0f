"""Reader of the COCO 2014 captions layout."""

import json
import os
from pathlib import Path

import numpy as np

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["read_coco"]


def read_coco(data_dir: str | Path, split: str) -> CaptionedImages:
    """Indexes `annotations/captions_{split}2014.json` and `{split}2014/`.

    Images come by rising id, their captions by rising annotation id. Images
    without a caption are left out. Each image is its own class.

    Args:
        data_dir: folder that holds `annotations` and the image folders.
        split: "train" or "val".

    Raises:
        UserError: the JSON or an image file is missing, or the JSON is not COCO's.
        ValueError: split is neither "train" nor "val".
    """
    if split not in ("train", "val"):
        raise ValueError(f"split={split!r}; expected 'train' or 'val'")
    annotations = Path(data_dir) / "annotations" / f"captions_{split}2014.json"
    folder = Path(data_dir) / f"{split}2014"
    names, captions = _read_captions(annotations)
    image_ids = [image_id for image_id in sorted(names) if captions.get(image_id)]
    if not image_ids:
        raise UserError(f"{annotations}: holds no image with a caption")
    _check_files([names[image_id] for image_id in image_ids], folder, annotations)
    return CaptionedImages(
        paths=tuple(os.path.join(folder, names[image_id]) for image_id in image_ids),
        captions=tuple(tuple(captions[image_id]) for image_id in image_ids),
        class_ids=np.arange(len(image_ids), dtype=np.int32),
        image_ids=np.array(image_ids, np.int64),
    )


def _read_captions(path: Path) -> tuple[dict[int, str], dict[int, list[str]]]:
    """File names and captions by image id."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; --data_dir must hold COCO 2014's `annotations`"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None
    try:
        names = {
            int(image["id"]): str(image["file_name"]) for image in content["images"]
        }
        notes = sorted(content["annotations"], key=lambda note: int(note["id"]))
        captions: dict[int, list[str]] = {}
        for note in notes:
            captions.setdefault(int(note["image_id"]), []).append(str(note["caption"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: not COCO captions ({type(error).__name__}: {error}); expected"
            " `images` with id, file_name and `annotations` with id, image_id, caption"
        ) from None
    unknown = captions.keys() - names.keys()
    if unknown:
        raise UserError(
            f"{path}: captions of image {min(unknown)}, which `images` doesn't list"
        )
    return names, captions


def _check_files(names: list[str], folder: Path, annotations: Path) -> None:
    # One listing instead of a stat for each image: COCO has 82,783 of them.
    try:
        present = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise UserError(f"{folder}: the image folder can't be read ({error})") from None
    missing = [name for name in names if name not in present]
    if missing:
        raise UserError(
            f"{folder / missing[0]}: no such image, but {annotations.name} lists it"
            f" ({len(missing)} missing in all)"
        )
