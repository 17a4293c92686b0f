"""A folder of generated images, one PNG file for each."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.image_sets import ImageSet
from mirrorgan_tf.files import atomic_file, read_bytes, write_atomically
from mirrorgan_tf.progress import Progress

__all__ = ["ImageFolder", "check_settings"]

_SETTINGS_FILE = "settings.json"


def check_settings(folder: Path, settings: dict) -> None:
    """Creates an evaluation's folder, or checks that it has the same settings.

    Args:
        folder: folder of the evaluation.
        settings: JSON values that the images in the folder depend on.

    Raises:
        UserError: the folder has an evaluation with other settings, which the message
            names, or other files, or cannot be written.
    """
    path = folder / _SETTINGS_FILE
    settings = json.loads(json.dumps(settings))
    try:
        if path.exists():
            saved = json.loads(read_bytes(path))
            changed = [
                f"{name}={settings.get(name)} (was {saved.get(name)})"
                for name in sorted(settings.keys() | saved.keys())
                if settings.get(name) != saved.get(name)
            ]
            if changed:
                raise UserError(
                    f"{folder} holds an evaluation with other settings: "
                    f"{', '.join(changed)}; choose another --out"
                )
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"{folder}: is not empty and holds no evaluation; choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(settings, indent=1))
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder}: can't be used for the evaluation ({error}); choose another "
            "--out"
        ) from None


class ImageFolder:
    """N images as PNG files.

    Rounding depends on the size of a batch. Images are therefore generated in the same
    batches every time, so that a resumed evaluation gives the same images as one that
    was not interrupted.

    Args:
        folder: of the files.
        count: N.
        batch_size: images that are generated together.
    """

    def __init__(self, folder: Path, count: int, *, batch_size: int):
        self.folder = folder
        self._count = count
        self._batch_size = batch_size

    def __len__(self) -> int:
        return self._count

    def path(self, row: int) -> Path:
        """The path of an image."""
        return self.folder / f"{row:06d}.png"

    def render(
        self,
        generate: Callable[[Sequence[str], Sequence[int]], np.ndarray],
        captions: Sequence[str],
        seeds: Sequence[int],
        label: str,
    ) -> None:
        """Generates the images that are missing.

        Args:
            generate: captions and seeds (B,) to images (B, S, S, 3) uint8.
            captions: N texts.
            seeds: N seeds of the noise.
            label: the task's name in log lines.

        Raises:
            UserError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            existing = set(os.listdir(self.folder))
            missing = [
                rows
                for rows in map(self._batch, range(0, self._count, self._batch_size))
                if not all(self.path(row).name in existing for row in rows)
            ]
            done = self._count - sum(map(len, missing))
            with Progress(label, self._count, done=done) as progress:
                for rows in missing:
                    batch = slice(rows.start, rows.stop)
                    images = generate(captions[batch], seeds[batch])
                    for row, image in zip(rows, images, strict=True):
                        self._save(image, row)
                    progress.add(len(rows))
        except OSError as error:
            raise UserError(
                f"{self.folder}: can't be written ({error}); finished images are kept: "
                "run the command again to resume"
            ) from None

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Images (len(rows), S, S, 3) uint8.

        Raises:
            UserError: one is damaged.
        """
        return np.stack([self._read(row) for row in rows])

    def as_image_set(self) -> ImageSet:
        """The images as a set that metrics compare with others."""
        return ImageSet(self.folder.name, self._count, self.batches)

    def batches(self, size: int, start: int = 0) -> Iterator[np.ndarray]:
        """All images from `start` on, `size` at a time."""
        for first in range(start, self._count, size):
            yield self.read(range(first, min(first + size, self._count)))

    def _batch(self, start):
        return range(start, min(start + self._batch_size, self._count))

    def _save(self, image, row):
        with atomic_file(self.path(row), sync=False) as partial:
            Image.fromarray(image).save(partial, format="PNG")

    def _read(self, row):
        try:
            with Image.open(self.path(row)) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise UserError(
                f"{self.path(row)}: can't be read ({error}); delete it and run the "
                "command again to generate it anew"
            ) from None
