"""Checks boxes against the sizes of their images."""

import concurrent.futures
import warnings

from PIL import Image

from mirrorgan_tf.data.inspection import orientation
from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.files import open_regular

__all__ = ["boxes_outside"]

_THREADS = 16
# Annotation tools may round boxes to pixels, up or down.
_TOLERANCE_PX = 1.0
# Boxes given as fractions of the image's size, from 0 to 1, are smaller than this.
_SMALLEST_PX = 1.5


def boxes_outside(index: CaptionedImages) -> tuple[Remark, ...]:
    """Remarks on boxes that lie outside their image or are tiny.

    Reads the headers of all image files of a set with boxes. Images that can't be read
    are skipped, because decoding them reports them.
    """
    if index.boxes is None or index.offsets is not None:
        return ()
    with (
        warnings.catch_warnings(),
        concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
    ):
        # Pillow warns about unusual files that it reads nevertheless.
        warnings.simplefilter("ignore")
        sizes = list(pool.map(_upright_size, index.paths))
    kinds = {"outside": [], "cut": [], "small": []}
    for path, size, box in zip(index.paths, sizes, index.boxes.tolist(), strict=True):
        if size is None:
            continue
        if kind := _kind(box, *size):
            kinds[kind].append(f"{path}, {size[0]}×{size[1]} px: {box}")
    return (
        remark_on("boxes outside of their image", kinds["outside"])
        + remark_on("boxes that reach out of their image, cut off", kinds["cut"])
        + remark_on("boxes of about a pixel, whole image used", kinds["small"])
    )


def _kind(box, width, height):
    """What is wrong with a box of an image; "" if nothing is."""
    left, top, box_width, box_height = box
    right, bottom = left + box_width, top + box_height
    if min(right, bottom) <= 0 or left >= width or top >= height:
        return "outside"
    if (
        min(left, top) < -_TOLERANCE_PX
        or right > width + _TOLERANCE_PX
        or bottom > height + _TOLERANCE_PX
    ):
        return "cut"
    return "small" if max(box_width, box_height) < _SMALLEST_PX else ""


def _upright_size(path):
    """Width and height after the rotation by EXIF; None if they can't be read."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            width, height = image.size
            # Orientations from 5 on swap width and height.
            return (height, width) if orientation(image) >= 5 else (width, height)
    except Exception:  # Pillow's formats raise whatever they like.
        return None
