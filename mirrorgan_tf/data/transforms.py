"""Pure image steps: same input and draw, same output.

Images are (height, width, 3) uint8, RGB, unless said otherwise; random steps take
their draws, uniform in [0, 1), as arguments. Static sizes are kept where known.
"""

import tensorflow as tf

__all__ = [
    "center_crop",
    "decode_image",
    "flip",
    "image_pyramid",
    "load_size",
    "random_crop",
    "resize_shorter_side",
    "to_float",
    "to_uint8",
]


def load_size(size: int) -> int:
    """Shorter side before the crop: 76/64 of the crop's (256 px: 304)."""
    return round(size * 76 / 64)


def decode_image(content: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG, BMP or first GIF frame to (height, width, 3).

    Greyscale is repeated to three channels, transparency dropped.
    """
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def resize_shorter_side(image: tf.Tensor, shorter_px: int) -> tf.Tensor:
    """Bilinear, antialiased; keeps the aspect ratio to the nearest pixel."""
    shape = tf.shape(image)[:2]
    scale = shorter_px / tf.reduce_min(shape)
    target = tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32)
    resized = tf.image.resize(image, target, antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def center_crop(image: tf.Tensor, size_px: int) -> tf.Tensor:
    """The square of `size_px` in the middle; the odd pixel is cut right and below."""
    return _crop(image, (tf.shape(image)[:2] - size_px) // 2, size_px)


def random_crop(image: tf.Tensor, size_px: int, draws: tf.Tensor) -> tf.Tensor:
    """A square of `size_px` anywhere inside, each place equally likely.

    Args:
        image: at least `size_px` each way.
        size_px: side of the square.
        draws: (2,) float32 in [0, 1), down and right.
    """
    places = tf.cast(tf.shape(image)[:2] - size_px + 1, tf.float32)
    # Rounding may carry a draw next to 1 up to the number of places.
    corner = tf.minimum(tf.floor(draws * places), places - 1)
    return _crop(image, tf.cast(corner, tf.int32), size_px)


def flip(image: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Mirrors left and right where the draw, () in [0, 1), is below one half."""
    return tf.cond(draw < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def image_pyramid(images: tf.Tensor, sizes: tuple[int, ...]) -> tuple[tf.Tensor, ...]:
    """The same images at each size.

    Args:
        images: (B, s, s, 3) float32.
        sizes: sides in px, none above s.

    Returns:
        One (B, size, size, 3) per size: pixels' means over the area they cover.
    """
    side = images.shape[1]
    return tuple(
        images if size == side else tf.image.resize(images, (size, size), "area")
        for size in sizes
    )


def to_float(images: tf.Tensor) -> tf.Tensor:
    """uint8 to float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Floats in [-1, 1] to uint8, rounded; values beyond are clipped."""
    pixels = (tf.cast(images, tf.float32) + 1.0) * 127.5
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)


def _crop(image: tf.Tensor, corner: tf.Tensor, size_px: int) -> tf.Tensor:
    begin = tf.concat([corner, [0]], 0)
    return tf.ensure_shape(
        tf.slice(image, begin, (size_px, size_px, 3)), (size_px, size_px, 3)
    )
