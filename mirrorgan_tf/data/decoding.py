"""Decodes images: plain JPEGs and PNGs in the graph, all others by Pillow.

TensorFlow decodes most files without Python. The bytes of a file reveal what it can't
decode correctly: images rotated by EXIF or XMP, CMYK, other formats. In both cases the
pixels are exactly those of Pillow's `exif_transpose` and `convert("RGB")`, except for
16-bit greyscale, which Pillow clips at 255 and this module divides by 256. So
transparency is dropped, not blended with a background, and the first frame of an
animation is taken. All functions refuse images of more pixels than Pillow's limit.
"""

import functools
import io
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import load_content
from mirrorgan_tf.data.views import View, take_view
from mirrorgan_tf.downloads import describe_placeholder
from mirrorgan_tf.files import read_bytes

__all__ = [
    "BadImageError",
    "decode_bytes",
    "decode_image",
    "decode_view",
    "decode_with_pillow",
    "load_encoded",
    "load_image",
]

# Byte patterns of an orientation other than upright, anywhere in a file. If other bytes
# match by chance, about once in a billion images, Pillow decodes the image.
_ROTATED = "|".join(
    (
        # EXIF's entry: tag 0x0112, type 3, one value from 2 to 8; both byte orders.
        r"\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08]",
        r"\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]\x00",
        # The same entry as another integer: tag, type 1 or 4, one value.
        r"\x01\x12\x00[\x01\x04]\x00\x00\x00\x01",
        r"\x12\x01[\x01\x04]\x00\x01\x00\x00\x00",
        # XMP's, and PNG's chunks that may hold either in compressed form.
        r"tiff:Orientation",
        r"XML:com\.adobe\.xmp\x00\x01",
        r"Raw profile type ",
    )
)
# Width and height, each four bytes, big-endian.
_PNG_SHAPE_AT, _PNG_SHAPE_BYTES = 16, 8
_RATIOS = (1, 2, 4, 8)
# Pillow uses this method too, and it is not slower than the inaccurate one.
_DCT = "INTEGER_ACCURATE"


class BadImageError(Exception):
    """An image can't be used; the message follows the image's name in an error."""


def load_encoded(index: CaptionedImages, row: int) -> bytes:
    """Reads the encoded image of a row from its file or shard.

    Raises:
        BadImageError: it can't be read.
    """
    try:
        if index.offsets is None:
            return read_bytes(index.paths[row])
        with tf.device("CPU:0"):
            offset = tf.constant(index.offsets[row])
            return load_content(tf.constant(index.paths[row]), offset).numpy()
    except tf.errors.DataLossError:
        raise BadImageError("its record is damaged; pack the set again") from None
    except tf.errors.OpError as error:
        raise BadImageError(f"can't be read ({error.message})") from None
    except OSError as error:
        raise BadImageError(f"can't be read ({error.strerror})") from None


def load_image(index: CaptionedImages, row: int) -> np.ndarray:
    """Loads the image of a row, (height, width, 3) uint8, as training does.

    Raises:
        BadImageError: it can't be read or decoded.
    """
    return decode_bytes(load_encoded(index, row))


def decode_bytes(content: bytes) -> np.ndarray:
    """Decodes an image outside of a graph, as `decode_image` does in a graph.

    Returns:
        (height, width, 3) uint8.

    Raises:
        BadImageError: it is not an image, damaged, too large or of an unknown format.
    """
    if not content:
        raise BadImageError("is empty")
    try:
        return _compiled_decode_image(_most_pixels())(content).numpy()
    except tf.errors.OpError:
        raise BadImageError(_explain(content)) from None


def decode_image(content: tf.Tensor) -> tf.Tensor:
    """Decodes an image of any format of Pillow to (height, width, 3) uint8.

    Raises:
        tf.errors.OpError: when run, if it is not an image or a part is missing.
    """
    shape = _jpeg_shape(content)
    is_rotated = _is_rotated(content)
    is_jpeg = _is_grey_or_rgb(shape) & ~is_rotated & ~_is_too_large(shape[:2])
    is_png = _starts_with(content, b"\x89PNG") & ~is_rotated
    is_png &= ~_is_too_large(_png_shape(content))
    image = tf.switch_case(
        tf.cast(is_jpeg, tf.int32) + 2 * tf.cast(is_png, tf.int32),
        [
            lambda: tf.numpy_function(
                decode_with_pillow, [content], tf.uint8, stateful=False
            ),
            lambda: tf.io.decode_jpeg(content, channels=3, dct_method=_DCT),
            lambda: tf.io.decode_png(content, channels=3),
        ],
    )
    return tf.ensure_shape(image, (None, None, 3))


def decode_view(
    content: tf.Tensor,
    find_view: Callable[[tf.Tensor], tuple[View, tf.Tensor]],
    shorter_px: int,
) -> tf.Tensor:
    """Decodes a view of an image; of a JPEG hardly more than the part in the view.

    A JPEG at least twice as large as needed is decoded at 1/2, 1/4 or 1/8, which
    averages pixels. The rest of the resizing is by less than a factor of two.

    Args:
        content: the encoded image.
        find_view: returns, for the image's shape, (2,) int32, the `View`, and the
            shorter side, () int32, of the part of the image that is resized.
        shorter_px: shorter side of that part after resizing.

    Returns:
        (height, width, 3) uint8 of the view's shape.

    Raises:
        tf.errors.OpError: as `decode_image`, even if only parts outside the view are
            missing.
    """
    shape = _jpeg_shape(content)
    # If the end marker is missing, a part of the JPEG may be missing too.
    has_end = tf.strings.substr(content, -2, 2) == b"\xff\xd9"
    in_part = _is_grey_or_rgb(shape) & has_end & ~_is_rotated(content)
    in_part &= ~_is_too_large(shape[:2])
    whole = tf.cond(
        in_part,
        lambda: tf.zeros((0, 0, 3), tf.uint8),
        lambda: decode_image(content),
    )
    shape = tf.where(in_part, shape, tf.shape(whole))[:2]
    view, shorter = find_view(shape)
    is_large_enough = [shorter // ratio >= shorter_px for ratio in _RATIOS[1:]]
    branch = tf.reduce_sum(tf.cast(is_large_enough, tf.int32))
    branch = tf.where(in_part, branch, len(_RATIOS))
    ratio = tf.constant((*_RATIOS, 1))[branch]
    view, shape = view.reduced(ratio), -(-shape // ratio)
    first, last = view.pixels_read(shape)
    first = tf.where(in_part, first, 0)
    window = tf.concat([first, last - first], 0)
    pixels = tf.switch_case(
        branch,
        [functools.partial(_decode_part, content, window, r) for r in _RATIOS]
        + [lambda: whole],
    )
    return take_view(pixels, view, first)


def decode_with_pillow(content: bytes) -> np.ndarray:
    """Decodes an image by Pillow to (height, width, 3) uint8.

    Raises:
        BadImageError: with Pillow's reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith("I;16"):
                    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
                return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        reason = describe_placeholder(content) or "is not an image"
        raise BadImageError(reason) from None
    except Image.DecompressionBombError:
        raise BadImageError(
            f"has more than {_most_pixels():,} pixels, too many to decode"
        ) from None
    except Exception as error:  # Pillow's decoders can raise any exception.
        reason = " ".join(str(error).split())
        raise BadImageError(reason or type(error).__name__) from error


@functools.lru_cache(maxsize=1)
def _compiled_decode_image(most_pixels):
    del most_pixels  # A constant of the graph.
    return tf.function(
        decode_image,
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )


def _explain(content: bytes) -> str:
    """Why TensorFlow can't decode an image, according to Pillow."""
    try:
        decode_with_pillow(content)
        reason = "TensorFlow can't decode it"
    except BadImageError as error:
        reason = str(error)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return f"is damaged, or {image.format} {image.mode} is not read ({reason})"
    except Exception:  # Not even its header can be read, so the format is not known.
        return reason


def _most_pixels() -> float:
    """Pillow's limit, so that a small file can't fill the memory."""
    limit = Image.MAX_IMAGE_PIXELS
    return float("inf") if limit is None else 2 * limit


def _decode_part(content, window, ratio):
    return tf.image.decode_and_crop_jpeg(
        content, window, channels=3, ratio=ratio, dct_method=_DCT
    )


def _jpeg_shape(content):
    """Height, width and components of a JPEG; of anything else zeros."""
    return tf.cond(
        _starts_with(content, b"\xff\xd8"),
        lambda: tf.io.extract_jpeg_shape(content),
        lambda: tf.zeros(3, tf.int32),
    )


def _png_shape(content):
    """Width and height of a PNG; of anything else zeros."""
    has_shape = tf.strings.length(content) >= _PNG_SHAPE_AT + _PNG_SHAPE_BYTES
    return tf.cond(
        _starts_with(content, b"\x89PNG") & has_shape,
        lambda: tf.io.decode_raw(
            tf.strings.substr(content, _PNG_SHAPE_AT, _PNG_SHAPE_BYTES),
            tf.int32,
            little_endian=False,
        ),
        lambda: tf.zeros(2, tf.int32),
    )


def _is_too_large(shape):
    # These images are passed to Pillow, which refuses them.
    pixels = tf.reduce_prod(tf.cast(shape, tf.float64))
    return pixels > _most_pixels()


def _is_grey_or_rgb(jpeg_shape):
    return (jpeg_shape[2] == 1) | (jpeg_shape[2] == 3)


def _is_rotated(content):
    return tf.strings.regex_full_match(content, rf"(?s)\C*(?:{_ROTATED})\C*")


def _starts_with(content, magic):
    return tf.strings.substr(content, 0, len(magic)) == magic
