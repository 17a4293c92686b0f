"""What judges saw in a set of images: kept on disk, block by block."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.progress import Progress
from mirrorgan_tf.files import whole_file

__all__ = ["Judge", "fingerprint", "look"]

_BATCH = 32
_BLOCK = 8 * _BATCH


class Judge(Protocol):
    """Looks at images.

    Attributes:
        facts: JSON values, all that its answers depend on.
    """

    facts: dict

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, S, S, 3) uint8 to arrays (B, ...) by name."""


def fingerprint(weights: Iterable) -> str:
    """Tells weights from others: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()[:16]


def look(
    folder: Path,
    judges: Mapping[str, Judge],
    batches: Callable[[int, int], Iterable[np.ndarray]],
    count: int,
    label: str,
) -> dict[str, dict[str, np.ndarray]]:
    """Shows a set of images to all judges, each image only once.

    What they see is written down for every 256 images; what is there already from
    judges of the same facts is not looked at again.

    Args:
        folder: where it is written.
        judges: by name.
        batches: (size, start) to the images from `start` on, `size` at a time.
        count: N, images of the set.
        label: of the log lines.

    Returns:
        Judge's name -> its arrays (N, ...) by name.

    Raises:
        UserError: the folder cannot be written.
    """
    folders = {
        name: folder / f"{name}-{_digest(judge.facts)}"
        for name, judge in judges.items()
    }
    starts = range(0, count, _BLOCK)
    seen = {
        name: {start: _load(_path(path, start)) for start in starts}
        for name, path in folders.items()
    }
    missing = {
        (name, start)
        for name, blocks in seen.items()
        for start, block in blocks.items()
        if block is None
    }
    first = min((start for _, start in missing), default=count)
    progress = Progress(label, count, first)
    place = first
    for images in batches(_BATCH, first) if missing else ():
        start = place // _BLOCK * _BLOCK
        place += len(images)
        for name, judge in judges.items():
            if (name, start) in missing:
                parts = seen[name][start] = seen[name][start] or []
                parts.append(judge(images))
                if place in (start + _BLOCK, count):
                    seen[name][start] = _joined(parts)
                    _save(_path(folders[name], start), seen[name][start])
        progress.add(len(images))
    return {name: _joined(list(blocks.values())) for name, blocks in seen.items()}


def _digest(facts):
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _path(folder, start):
    return folder / f"{start:06d}.npz"


def _joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _save(path, arrays):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            np.savez(partial, **arrays)
    except OSError as error:
        raise UserError(
            f"{path}: can't be written ({error}); the same command goes on from here"
        ) from None


def _load(path):
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
