"""Birdlets as arrays, drawn by several processes."""

import concurrent.futures
import io
import multiprocessing

import numpy as np
from PIL import Image

from mirrorgan_tf.birdlets.dataset import draw_example

__all__ = ["ImageDrawing"]

_CHUNK = 200
_JPEG_QUALITY = 92


class ImageDrawing:
    """Draws images of a data set in background processes.

    Create it before JAX is imported: the processes are forked.
    """

    def __init__(self, processes: int):
        self._pool = concurrent.futures.ProcessPoolExecutor(
            processes, multiprocessing.get_context("fork")
        )

    def start(self, seed: int, split: str, count: int, side_px: int) -> list:
        """Begins to draw the first `count` images of a split; returns futures of them.

        Args:
            seed: of the data set.
            split: train or val.
            count: number of images.
            side_px: of the images, which are drawn larger and then reduced.
        """
        return [
            self._pool.submit(
                _draw, seed, split, range(first, min(first + _CHUNK, count)), side_px
            )
            for first in range(0, count, _CHUNK)
        ]


def wait_for(futures: list) -> np.ndarray:
    """Images (N, side, side, 3) uint8 of what `ImageDrawing.start` returned."""
    return np.concatenate([future.result() for future in futures])


def _draw(seed, split, indexes, side_px):
    images = []
    for index in indexes:
        buffer = io.BytesIO()
        Image.fromarray(draw_example(seed, split, index)).save(
            buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0
        )
        image = Image.open(buffer).convert("RGB")
        image = image.resize((side_px, side_px), Image.Resampling.BILINEAR)
        images.append(np.asarray(image))
    return np.stack(images)
