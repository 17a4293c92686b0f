"""Generated images on disk: a PNG a caption, made block by block."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.progress import Progress
from mirrorgan_tf.files import read_bytes, whole_file

__all__ = ["ImageFolder", "claim_folder"]

SETTINGS_FILE = "settings.json"


def claim_folder(folder: Path, settings: dict) -> None:
    """Makes an evaluation's folder, or checks that it is of the same settings.

    Args:
        folder: to make.
        settings: JSON values, all that fixes the images in it.

    Raises:
        UserError: it holds an evaluation of other settings, which are named, holds
            something else, or cannot be written.
    """
    path = folder / SETTINGS_FILE
    settings = json.loads(json.dumps(settings))
    try:
        if path.exists():
            before = json.loads(read_bytes(path))
            changed = [
                f"{name}={settings.get(name)} (was {before.get(name)})"
                for name in sorted(settings.keys() | before.keys())
                if settings.get(name) != before.get(name)
            ]
            if changed:
                raise UserError(
                    f"{folder} holds an evaluation of other settings: "
                    f"{', '.join(changed)}; choose another --out"
                )
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"{folder}: is not empty and holds no evaluation; choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder}: can't be used for the evaluation ({error}); choose another "
            "--out"
        ) from None


class ImageFolder:
    """Images 0 to N - 1 as PNG files.

    Blocks of `batch_size` are made together, always the same ones, since rounding
    depends on a batch's size: an interrupted rendering ends in the very images that
    one in a single go gives. A file that bears its name is whole.
    """

    def __init__(self, folder: Path, count: int, *, batch_size: int):
        """Makes nothing yet; `count` is N."""
        self.folder = folder
        self._count = count
        self._batch_size = batch_size

    def __len__(self) -> int:
        return self._count

    def path(self, row: int) -> Path:
        """The file of an image."""
        return self.folder / f"{row:06d}.png"

    def render(
        self,
        draw: Callable[[Sequence[str], Sequence[int]], np.ndarray],
        captions: Sequence[str],
        seeds: Sequence[int],
        label: str,
    ) -> None:
        """Makes the images that are missing.

        Args:
            draw: captions and seeds (B,) to images (B, S, S, 3) uint8.
            captions: N texts.
            seeds: of the noise, N.
            label: of the log lines.

        Raises:
            UserError: the folder cannot be written.
        """
        starts = range(0, self._count, self._batch_size)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            there = set(os.listdir(self.folder))
            missing = [
                start
                for start in starts
                if not all(self.path(row).name in there for row in self._block(start))
            ]
            left = sum(len(self._block(start)) for start in missing)
            progress = Progress(label, self._count, self._count - left)
            for start in missing:
                block = self._block(start)
                images = draw(
                    captions[block.start : block.stop], seeds[block.start : block.stop]
                )
                for row, image in zip(block, images, strict=True):
                    self._save(image, row)
                progress.add(len(block))
        except OSError as error:
            raise UserError(
                f"{self.folder}: can't be written ({error}); what is there is kept, "
                "and the same command goes on with it"
            ) from None

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Images (len(rows), S, S, 3) uint8.

        Raises:
            UserError: one is damaged.
        """
        return np.stack([self._read(row) for row in rows])

    def batches(self, size: int, start: int = 0) -> Iterator[np.ndarray]:
        """All images from `start` on, `size` at a time."""
        for first in range(start, self._count, size):
            yield self.read(range(first, min(first + size, self._count)))

    def _block(self, start):
        return range(start, min(start + self._batch_size, self._count))

    def _save(self, image, row):
        with whole_file(self.path(row), sync=False) as partial:
            Image.fromarray(image).save(partial, format="PNG")

    def _read(self, row):
        try:
            with Image.open(self.path(row)) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise UserError(
                f"{self.path(row)}: can't be read ({error}); move it away, and the "
                "same command makes it again"
            ) from None
