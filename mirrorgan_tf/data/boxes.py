"""Checks boxes against the sizes of their images."""

import concurrent.futures
import warnings

from PIL import Image

from mirrorgan_tf.data.records import CaptionedImages, Remark, remark_on
from mirrorgan_tf.files import open_regular

__all__ = ["boxes_outside", "orientation"]

_THREADS = 16
# EXIF's tag.
_ORIENTATION = 0x0112
# Annotation tools may round boxes up to whole pixels.
_TOLERANCE_PX = 1.0
# Boxes in fractions of the image's size, from 0 to 1, are smaller than this.
_SMALLEST_PX = 1.5
# Kinds of `Remark`.
_OUTSIDE = "boxes outside of their image"
_PARTLY_OUTSIDE = "boxes that reach out of their image, cut off"
_TINY = "boxes of about a pixel, whole image used"


def boxes_outside(index: CaptionedImages) -> tuple[Remark, ...]:
    """Remarks on boxes that are outside their image or tiny.

    Reads the headers of all image files. Images that can't be read are skipped, because
    decoding reports them. Packed images are already cropped to their boxes.
    """
    if index.boxes is None or index.offsets is not None:
        return ()
    with (
        warnings.catch_warnings(),
        concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
    ):
        # Pillow also warns about unusual files that it can read.
        warnings.simplefilter("ignore")
        sizes = list(pool.map(_upright_size, index.paths))
    boxes_by_problem = {_OUTSIDE: [], _PARTLY_OUTSIDE: [], _TINY: []}
    for path, size, box in zip(index.paths, sizes, index.boxes.tolist(), strict=True):
        if size is not None and (problem := _find_problem(box, *size)):
            boxes_by_problem[problem].append(f"{path}, {size[0]}×{size[1]} px: {box}")
    return tuple(
        remark
        for problem, boxes in boxes_by_problem.items()
        for remark in remark_on(problem, boxes)
    )


def orientation(image: Image.Image) -> int:
    """The orientation by EXIF or XMP, 1 if upright; reads only the header."""
    # `getexif` of a PNG would decode the image.
    return Image.Image.getexif(image).get(_ORIENTATION, 1)


def _find_problem(box, width, height):
    """The kind of remark on a box; None if it is right."""
    left, top, box_width, box_height = box
    right, bottom = left + box_width, top + box_height
    if min(right, bottom) <= 0 or left >= width or top >= height:
        return _OUTSIDE
    if (
        min(left, top) < -_TOLERANCE_PX
        or right > width + _TOLERANCE_PX
        or bottom > height + _TOLERANCE_PX
    ):
        return _PARTLY_OUTSIDE
    return _TINY if max(box_width, box_height) < _SMALLEST_PX else None


def _upright_size(path):
    """Width and height after the rotation by EXIF; None if they can't be read."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            width, height = image.size
            # Orientations from 5 on swap width and height.
            return (height, width) if orientation(image) >= 5 else (width, height)
    except Exception:  # Pillow can raise any exception.
        return None
