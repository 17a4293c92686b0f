"""Photographs made of noise, and the loader of the original to compare with."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["PillowLoader", "make_photo", "write_photos"]

# Widths and heights as COCO has them.
_SHAPES = ((640, 480), (640, 480), (640, 427), (480, 640), (500, 375), (640, 428))


def make_photo(width: int, height: int, random: np.random.Generator) -> bytes:
    """A JPEG of quality 90: smooth noise of several sizes and fine grain.

    640 by 480 px take about 140 KB, near COCO's mean of 160 KB.
    """
    photo = np.full((height, width, 3), 120.0)
    for octave in range(2, 8):
        grid = random.normal(size=(3 * 2**octave // 4 + 1, 2**octave + 1, 3))
        layer = np.stack(
            [
                Image.fromarray(grid[..., c].astype(np.float32)).resize(
                    (width, height), Image.Resampling.BICUBIC
                )
                for c in range(3)
            ],
            -1,
        )
        grey = layer.mean(-1, keepdims=True)
        photo += (0.3 * layer + 1.2 * grey) * 210 * 0.57**octave
    photo += random.normal(size=(height, width, 1)) * 15
    content = io.BytesIO()
    Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(
        content, "JPEG", quality=90
    )
    return content.getvalue()


def write_photos(folder: Path, count: int) -> list[str]:
    """Writes photographs of COCO's shapes; the same at every call."""
    paths = []
    for number in range(count):
        width, height = _SHAPES[number % len(_SHAPES)]
        photo = make_photo(width, height, np.random.default_rng(number))
        paths.append(str(folder / f"{number:06d}.jpg"))
        Path(paths[-1]).write_bytes(photo)
    return paths


class PillowLoader:
    """What a PyTorch data set with torchvision's transforms does, without PyTorch.

    Decode; the shorter side to 304 px; a random crop of 256, mirrored at random; the
    smaller scales resized from it; each a float32 array, channels first, in [-1, 1];
    stacked to batches. No time is spent on handing them between processes.
    """

    def __init__(self, paths: list[str], sizes: tuple[int, ...], seed: int):
        self._paths = paths
        self._sizes = sizes
        self._random = np.random.default_rng(seed)

    def batch(self, batch_size: int) -> list[np.ndarray]:
        """One (B, 3, s, s) array a size."""
        rows = self._random.integers(len(self._paths), size=batch_size)
        examples = [self._example(self._paths[row]) for row in rows]
        return [np.stack(images) for images in zip(*examples, strict=True)]

    def _example(self, path):
        size = self._sizes[-1]
        shorter = round(size * 76 / 64)
        image = Image.open(path).convert("RGB")
        width, height = image.size
        scale = shorter / min(width, height)
        width, height = round(width * scale), round(height * scale)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left = self._random.integers(width - size + 1)
        top = self._random.integers(height - size + 1)
        image = image.crop((left, top, left + size, top + size))
        if self._random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return [
            self._tensor(
                image
                if side == size
                else image.resize((side, side), Image.Resampling.BILINEAR)
            )
            for side in self._sizes
        ]

    @staticmethod
    def _tensor(image):
        # ToTensor and Normalize, with the copies that they make.
        pixels = np.array(image)
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        tensor = pixels.astype(np.float32) / np.float32(255)
        tensor = tensor.copy()
        tensor -= np.float32(0.5)
        tensor /= np.float32(0.5)
        return tensor
