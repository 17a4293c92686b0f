"""Reads a folder of images with a text file beside each."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from mirrorgan_tf.data.datasets.folder_splits import declared_splits
from mirrorgan_tf.data.reading import (
    check_names,
    index_captioned,
    is_image_name,
    read_caption_files,
)
from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.data.registry import Dataset
from mirrorgan_tf.data.splits import split_by_name
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import is_special

__all__ = ["FolderDataset", "read_folder"]


class FolderDataset(Dataset):
    """A folder of images with a text file beside each."""

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether an image in a folder or its subfolders has a text file beside it."""
        for _, subfolders, files in os.walk(folder):
            subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
            stems = {_stem(name) for name in files if name.lower().endswith(".txt")}
            if any(_stem(name) in stems and is_image_name(name) for name in files):
                return True
        return False

    def read(self) -> dict[str, CaptionedImages]:
        """Indexes both splits."""
        settings = self.config.data
        return read_folder(
            self.folder, val_share=settings.val_share, seed=settings.seed
        )


def read_folder(
    data_dir: str | Path, *, val_share: float, seed: int
) -> dict[str, CaptionedImages]:
    """Indexes pairs such as `owl.jpg` and `owl.txt`, in subfolders too.

    Images are the files whose suffix is known to Pillow. A text file has one caption a
    line. If folders are named as splits (see `declared_splits`), only these are read;
    otherwise `split_by_name` splits the images. Each image is its own class; ids number
    the file names in alphabetical order. Hidden files and folders are skipped.

    Args:
        data_dir: the folder.
        val_share: in (0, 1), share of the images for validation.
        seed: of the split.

    Returns:
        "train" and "val".

    Raises:
        UserError: there is no image, or none has a text file.
    """
    data_dir = Path(data_dir)
    files = _find_files(data_dir)
    if not files.images:
        raise UserError(
            f"{data_dir}: no images; files of every format that Pillow reads are "
            "images, such as .jpg, .png and .webp"
        )
    check_names(files.images, data_dir)
    splits, note = declared_splits(files.images)
    notes = [note] * bool(note)
    if not splits:
        index = _read(data_dir, files, files.images, notes, files.remarks)
        return split_by_name(index, data_dir, val_share=val_share, seed=seed)
    outside = sorted(set(files.images).difference(*splits.values()))
    remarks = remark_on("images outside the folders of the splits, left out", outside)
    train, val = splits["train"], splits["val"]
    return {
        "train": _read(data_dir, files, train, notes, files.remarks + remarks),
        "val": _read(data_dir, files, val, first_id=len(train)),
    }


@dataclasses.dataclass(frozen=True)
class _Files:
    """Names of a folder's files; `texts` has a text file's name by its stem."""

    images: list[str]
    texts: dict[str, str]
    remarks: tuple[Remark, ...]


def _stem(name):
    return os.path.splitext(name)[0]


def _find_files(data_dir: Path) -> _Files:
    """Lists all files. Follows links, but reads each folder only once."""
    names, first_names, repeated = [], {}, []
    for folder, subfolders, files in os.walk(data_dir, followlinks=True):
        first_name = first_names.setdefault(os.path.realpath(folder), folder)
        if first_name != folder:
            repeated.append(f"{folder} = {first_name}")
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        names += [
            os.path.relpath(os.path.join(folder, name), data_dir)
            for name in files
            if name[0] != "."
        ]
    names.sort()
    special = {name for name in names if is_special(data_dir / name)}
    images = [name for name in names if is_image_name(name) and name not in special]
    texts = {
        _stem(name): name
        for name in names
        if name.lower().endswith(".txt") and name not in special
    }
    stems = list(map(_stem, images))
    texts_without_image = [texts[stem] for stem in sorted(texts.keys() - stems)]
    other_files = sorted({*names}.difference(images, texts.values()))
    sharing, first_images = [], {}
    for stem, name in zip(stems, images, strict=True):
        if first_images.setdefault(stem, name) != name and stem in texts:
            sharing.append(f"{name}, as {first_images[stem]}")
    return _Files(
        images,
        texts,
        remark_on("text files without an image, left out", texts_without_image)
        + remark_on("files that are neither images nor text, left out", other_files)
        + remark_on("images that share another image's text file", sharing)
        + remark_on("folders with a second name, read once", repeated),
    )


def _read(
    data_dir: Path,
    files: _Files,
    images: Sequence[str],
    notes: Sequence[str] = (),
    remarks: tuple[Remark, ...] = (),
    *,
    first_id: int = 0,
) -> CaptionedImages:
    stems = map(_stem, images)
    texts = [data_dir / files.texts.get(stem, f"{stem}.txt") for stem in stems]
    captions, more_remarks = read_caption_files(texts)
    if all(texts is None for texts in captions):
        raise UserError(
            f"{texts[0]}: no such file; the captions of an image, one a line, belong "
            f"into a text file of the same name ({len(texts)} missing in all)"
        )
    return index_captioned(
        [os.path.join(data_dir, name) for name in images],
        [image_captions or [] for image_captions in captions],
        image_ids=range(first_id, first_id + len(images)),
        source=data_dir,
        notes=notes,
        earlier_remarks=remarks + more_remarks,
    )
