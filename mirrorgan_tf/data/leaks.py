"""Finds images that are both in training and in validation, by their content."""

import concurrent.futures
import filecmp
import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.files import open_regular

__all__ = ["file_sizes", "shared_images"]

# The most validation images to compare; all 40,504 of COCO would take minutes on a slow
# disk.
_MOST_COMPARED = 2000
_PART_BYTES = 4096
_THREADS = 16


def shared_images(train: CaptionedImages, val: CaptionedImages) -> tuple[Remark, ...]:
    """Remarks on validation images with the content of a training image.

    Files are compared by size, then by a few bytes in their middle; only files that
    agree in both are read completely. Of more than 2,000 validation images an evenly
    spaced sample is compared. Packed data sets are not read, because `prepare` has
    compared their images.
    """
    if train.offsets is not None or val.offsets is not None:
        return ()
    train_sizes = np.array(file_sizes(train.paths))
    val_sizes = np.array(file_sizes(val.paths))
    common = np.intersect1d(train_sizes[train_sizes > 0], val_sizes)
    val_rows = np.flatnonzero(np.isin(val_sizes, common))
    if len(val_rows) > _MOST_COMPARED:
        places = np.linspace(0, len(val_rows) - 1, _MOST_COMPARED)
        val_rows = val_rows[places.astype(int)]
    train_rows = np.flatnonzero(np.isin(train_sizes, val_sizes[val_rows]))
    train_paths = [train.paths[row] for row in train_rows]
    val_paths = [val.paths[row] for row in val_rows]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        candidates = defaultdict(list)
        for path, digest in zip(
            train_paths, pool.map(_hash_middle, train_paths), strict=True
        ):
            candidates[digest].append(path)
        val_digests = list(pool.map(_hash_middle, val_paths))
        copies = pool.map(
            lambda path, digest: _first_equal(path, candidates.get(digest, ())),
            val_paths,
            val_digests,
        )
        return remark_on(
            "validation images that are training images too",
            [
                f"{path} = {copy}"
                for path, copy in zip(val_paths, copies, strict=True)
                if copy
            ],
        )


def file_sizes(paths: Sequence[str]) -> list[int]:
    """The size of each file in bytes; 0 for a missing file."""

    def sizes_of(part):
        return [_file_size(path) for path in part]

    # 1,000 files a task, because starting a task takes longer than one call of getsize.
    parts = [paths[start : start + 1000] for start in range(0, len(paths), 1000)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return [size for sizes in pool.map(sizes_of, parts) for size in sizes]


def _file_size(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _hash_middle(path):
    try:
        with open_regular(path) as file:
            file.seek(max(0, os.path.getsize(path) - _PART_BYTES) // 2)
            return hashlib.blake2b(file.read(_PART_BYTES)).digest()
    except OSError:
        return None


def _first_equal(path, others):
    """The first of the other files with the same content, or None."""
    try:
        return next(
            (other for other in others if filecmp.cmp(path, other, shallow=False)), None
        )
    except OSError:
        return None
