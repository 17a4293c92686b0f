"""Features of images, saved on disk so that an evaluation can be resumed."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_file
from mirrorgan_tf.progress import Progress

__all__ = ["FeatureExtractor", "Features", "extract_features", "fingerprint"]

# Arrays (N, ...) by name; row i belongs to image i.
Features = dict[str, np.ndarray]

_BATCH = 32
# Images whose features share a file. An interruption loses at most these.
_BLOCK = 8 * _BATCH


class FeatureExtractor(Protocol):
    """A network that turns images into arrays.

    Attributes:
        facts: JSON values that identify the network, such as a hash of its weights;
            saved features of other facts are not used.
    """

    facts: dict

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to arrays (B, ...) by name."""


def fingerprint(weights: Iterable) -> str:
    """Hash of weights: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()[:16]


def extract_features(
    folder: Path,
    extractors: Mapping[str, FeatureExtractor],
    batches: Callable[[int, int], Iterable[np.ndarray]],
    count: int,
    label: str,
) -> dict[str, Features]:
    """Computes the features of all extractors; each image is read only once.

    Features are saved after every 256 images. Saved features of extractors with the
    same `facts` are read instead of computed.

    Args:
        folder: where features are saved.
        extractors: name -> extractor.
        batches: (size, start) to the images from `start` on, `size` at a time.
        count: N, images of the set.
        label: the task's name in log lines.

    Returns:
        Extractor's name -> its arrays (N, ...) by name.

    Raises:
        UserError: the folder cannot be written.
    """
    folders = {
        name: folder / f"{name}-{_digest(extractor.facts)}"
        for name, extractor in extractors.items()
    }
    blocks = {
        name: {start: _load(_path(path, start)) for start in range(0, count, _BLOCK)}
        for name, path in folders.items()
    }
    missing = {
        (name, start)
        for name, by_start in blocks.items()
        for start, block in by_start.items()
        if block is None
    }
    position = min((start for _, start in missing), default=count)
    parts = {key: [] for key in missing}
    with Progress(label, count, done=position) as progress:
        for images in batches(_BATCH, position) if missing else ():
            start = position // _BLOCK * _BLOCK
            position += len(images)
            for name, extractor in extractors.items():
                if (name, start) not in missing:
                    continue
                parts[name, start].append(extractor(images))
                if position in (start + _BLOCK, count):
                    blocks[name][start] = _concatenate(parts.pop((name, start)))
                    _save(_path(folders[name], start), blocks[name][start])
            progress.add(len(images))
    return {
        name: _concatenate(list(by_start.values())) for name, by_start in blocks.items()
    }


def _digest(facts):
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _path(folder, start):
    return folder / f"{start:06d}.npz"


def _concatenate(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _save(path, arrays):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            np.savez(partial, **arrays)
    except OSError as error:
        raise UserError(
            f"{path}: can't be written ({error}); run the command again to resume"
        ) from None


def _load(path):
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
