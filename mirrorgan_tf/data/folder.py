"""Reader of anyone's folder of images with a text file beside each."""

import os
from pathlib import Path

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.reading import (
    check_names,
    index_captioned,
    read_caption_file,
)
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.splits import split_by_name

__all__ = ["read_folder"]

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def read_folder(
    data_dir: str | Path, *, val_share: float, seed: int
) -> dict[str, CaptionedImages]:
    """Indexes pairs such as `owl.jpg` and `owl.txt`, in subfolders too.

    A text file holds one caption a line. Where there are folders `train` and `val`
    with images, these are the splits and nothing else is read; otherwise
    `split_by_name` decides. Each image is its own class; ids count the names in
    alphabetical order. Hidden files and folders are not looked at.

    Args:
        data_dir: the folder.
        val_share: in (0, 1), the part for validation.
        seed: of the split.

    Returns:
        "train" and "val".

    Raises:
        UserError: no image is there, or one has no text file.
    """
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise UserError(f"--data_dir={data_dir}: no such folder")
    names = _find_images(data_dir)
    if not names:
        raise UserError(f"{data_dir}: no images ({', '.join(_IMAGES)})")
    check_names(names, data_dir)
    splits = {
        split: [name for name in names if name.split(os.sep)[0] == split]
        for split in ("train", "val")
    }
    if not all(splits.values()):
        index = _read(data_dir, names)
        return split_by_name(index, data_dir, val_share=val_share, seed=seed)
    outside = len(names) - sum(map(len, splits.values()))
    notes = [f"images outside train and val, not read: {outside:,}"] * bool(outside)
    return {
        "train": _read(data_dir, splits["train"], notes=notes),
        "val": _read(data_dir, splits["val"], first_id=len(splits["train"])),
    }


def _find_images(data_dir: Path) -> list[str]:
    """Names relative to the folder, in order; links are followed, once."""
    names, seen = [], set()
    for folder, subfolders, files in os.walk(data_dir, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        names += [
            os.path.relpath(os.path.join(folder, name), data_dir)
            for name in files
            if name[0] != "." and name.lower().endswith(_IMAGES)
        ]
    return sorted(names)


def _read(data_dir, names, *, first_id=0, notes=()) -> CaptionedImages:
    captions, missing = [], []
    for name in names:
        path = data_dir / f"{os.path.splitext(name)[0]}.txt"
        try:
            captions.append(read_caption_file(path))
        except FileNotFoundError:
            missing.append(path)
    if missing:
        raise UserError(
            f"{missing[0]}: no such file; every image needs its captions, one a line, "
            f"in a text file of its name ({len(missing)} missing in all)"
        )
    return index_captioned(
        [os.path.join(data_dir, name) for name in names],
        captions,
        image_ids=range(first_id, first_id + len(names)),
        source=data_dir,
        notes=notes,
    )
