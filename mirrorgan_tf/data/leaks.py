"""Images that are in training and in validation, under whatever names."""

import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.files import file_sha256, open_regular

__all__ = ["file_sizes", "shared_images"]

# Validation images that are compared; COCO's 40,504 would take minutes on a slow disk.
_MOST_COMPARED = 2000
_PART_BYTES = 4096
_THREADS = 16


def shared_images(train: CaptionedImages, val: CaptionedImages) -> tuple[Remark, ...]:
    """Remarks on validation images with the content of a training image.

    Files are compared by size, then by a few bytes of their middle; only those that are
    still alike are read as a whole. Of more than 2,000 validation images an evenly
    spread sample is compared. Shards are not read: `prepare` compared the images.
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
        train_paths, val_paths, _ = _keep_alike(pool, _middle, train_paths, val_paths)
        _, val_paths, pairs = _keep_alike(pool, _content, train_paths, val_paths)
    return remark_on(
        "validation images that are training images too",
        [f"{path} = {pairs[path]}" for path in val_paths],
    )


def file_sizes(paths: Sequence[str]) -> list[int]:
    """The size of each file in bytes; 0 where there is none."""

    def sizes_of(part):
        return [_size(path) for path in part]

    # In parts: starting a task takes longer than asking for the size of a file.
    parts = [paths[start : start + 1000] for start in range(0, len(paths), 1000)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return [size for sizes in pool.map(sizes_of, parts) for size in sizes]


def _size(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _keep_alike(
    pool: concurrent.futures.Executor,
    key: Callable[[str], Any],
    train_paths: Sequence[str],
    val_paths: Sequence[str],
) -> tuple[list[str], list[str], dict[str, str]]:
    """The files whose key the other split has too, and pairs of val and train files."""
    train_keys = list(pool.map(key, train_paths))
    val_keys = list(pool.map(key, val_paths))
    first_of_key = dict(zip(reversed(train_keys), reversed(train_paths), strict=True))
    shared_keys = {value for value in val_keys if value is not None}
    pairs = {
        path: first_of_key[value]
        for path, value in zip(val_paths, val_keys, strict=True)
        if value is not None and value in first_of_key
    }
    train_alike = [
        path
        for path, value in zip(train_paths, train_keys, strict=True)
        if value in shared_keys
    ]
    return train_alike, list(pairs), pairs


def _middle(path):
    try:
        with open_regular(path) as file:
            file.seek(max(0, os.path.getsize(path) - _PART_BYTES) // 2)
            return hashlib.blake2b(file.read(_PART_BYTES)).digest()
    except OSError:
        return None


def _content(path):
    try:
        return file_sha256(path)
    except OSError:
        return None
