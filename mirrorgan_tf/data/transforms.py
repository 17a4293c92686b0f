"""Image operations as pure functions."""

import tensorflow as tf

__all__ = [
    "center_corner",
    "image_pyramid",
    "load_size",
    "random_corner",
    "to_float",
    "to_uint8",
]


def load_size(size: int) -> int:
    """Shorter side of the resized image: 76/64 of the crop's side (256 px: 304)."""
    return round(size * 76 / 64)


def center_corner(shape: tf.Tensor, size_px: int) -> tf.Tensor:
    """Top and left, (2,) int32, of the square of `size_px` in the centre."""
    return (shape - size_px) // 2


def random_corner(shape: tf.Tensor, size_px: int, uniform: tf.Tensor) -> tf.Tensor:
    """Top and left, (2,) int32, of a square at a random position.

    Args:
        shape: (2,) int32, height and width, at least `size_px` each.
        size_px: side of the square.
        uniform: (2,) float32 in [0, 1), down and right.
    """
    places = tf.cast(shape - size_px + 1, tf.float32)
    # In float32, a number just below 1 times `places` may be rounded up to `places`.
    return tf.cast(tf.minimum(tf.floor(uniform * places), places - 1), tf.int32)


def image_pyramid(images: tf.Tensor, sizes: tuple[int, ...]) -> tuple[tf.Tensor, ...]:
    """Reduces images to each size, by the means of the pixels of each area.

    Args:
        images: (B, s, s, 3) float32.
        sizes: sides in px, none above s.

    Returns:
        (B, size, size, 3) for each size.
    """
    return tuple(_reduce(images, size) for size in sizes)


def to_float(images: tf.Tensor) -> tf.Tensor:
    """uint8 to float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Floats in [-1, 1] to uint8, rounded; values beyond are clipped."""
    pixels = (tf.cast(images, tf.float32) + 1.0) * 127.5
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)


def _reduce(images, size):
    side = images.shape[1]
    if size == side:
        return images
    if side % size == 0:
        # Pooling gives the same means in less time.
        return tf.nn.avg_pool2d(images, side // size, side // size, "VALID")
    return tf.image.resize(images, (size, size), "area")
