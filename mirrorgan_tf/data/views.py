"""Crops, resizes and mirrors in one step, which computes only the pixels of the crop.

A view describes the positions in an image of the pixels of a crop of the resized image.
Taking a view gives the same as resizing the complete image (bilinear, antialiased, like
Pillow) and cropping the result.
"""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["View", "box_window", "cut_view", "resized_shape", "take_view"]

# Rows (or columns) that one matrix product computes from the same source rows.
_BLOCK = 16
# In a partly decoded JPEG, colour does not spread into the outermost columns.
_MARGIN_PX = 2
_ROUND_PX = 16


class View(NamedTuple):
    """The positions of a crop's pixels in an image; pairs are (down, right).

    Attributes:
        origin: (2,) float64, position of the crop's corner in the image, in px.
        step: (2,) float64, px of the image between two pixels of the crop.
        low: (2,) int32, first pixel that may be read.
        high: (2,) int32, one past the last.
        shape: (2,) int32, height and width of the crop.
        flip: () bool, mirrored left and right.
    """

    origin: tf.Tensor
    step: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    shape: tf.Tensor
    flip: tf.Tensor

    @classmethod
    def of_crop(
        cls,
        window: tf.Tensor,
        resized: tf.Tensor,
        corner: tf.Tensor,
        shape: tf.Tensor | tuple[int, int],
        flip: tf.Tensor | bool = False,
    ) -> "View":
        """The view of a crop of a resized window of the image.

        Args:
            window: (4,) int32, top, left, height and width in px of the image.
            resized: (2,) int32, height and width of the resized window.
            corner: (2,) int32, top and left of the crop in the resized window.
            shape: height and width of the crop.
            flip: mirror the crop.
        """
        step = tf.cast(window[2:], tf.float64) / tf.cast(resized, tf.float64)
        return cls(
            origin=tf.cast(window[:2], tf.float64) + tf.cast(corner, tf.float64) * step,
            step=step,
            low=window[:2],
            high=window[:2] + window[2:],
            shape=tf.convert_to_tensor(shape, tf.int32),
            flip=tf.convert_to_tensor(flip),
        )

    def reduced(self, ratio: tf.Tensor) -> "View":
        """The same view of an image that is smaller by a factor `ratio`, () int32."""
        return self._replace(
            origin=self.origin / tf.cast(ratio, tf.float64),
            step=self.step / tf.cast(ratio, tf.float64),
            low=self.low // ratio,
            high=-(-self.high // ratio),
        )

    def pixels_read(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The first pixel, (2,) int32, that `take_view` reads, and one past the last.

        Args:
            shape: (2,) int32, height and width of the image.
        """
        support = tf.maximum(self.step, 1.0)
        length = tf.cast(self.shape, tf.float64) * self.step + 2 * support
        # Lengths are rounded, and the same for all positions of a crop, because
        # preparing a matrix product for a new size takes longer than the product.
        length = tf.cast(tf.math.ceil(length), tf.int32) + 2 * _MARGIN_PX + 1
        length = tf.minimum(-(-length // _ROUND_PX) * _ROUND_PX, shape)
        first = tf.cast(tf.floor(self.origin - support), tf.int32) - _MARGIN_PX
        first = tf.clip_by_value(first, 0, shape - length)
        return first, first + length


def box_window(shape: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The part inside the image of the square around a box.

    Half the square's side is 0.75 times the longer side of the box. It has the centre
    of the box. Both are rounded down. A box outside the image gives the whole image.

    Args:
        shape: (2,) int32, height and width of the image.
        box: (4,) float32, left, top, width and height in px.

    Returns:
        (4,) int32: top, left, height and width.

    Source: the authors' data loader for CUB.
    """
    half = tf.cast(0.75 * tf.maximum(box[2], box[3]), tf.int32)
    center = tf.cast((2 * box[:2] + box[2:]) / 2, tf.int32)[::-1]
    first = tf.maximum(center - half, 0)
    last = tf.minimum(center + half, shape)
    inside = tf.reduce_all(last > first)
    whole = tf.concat([[0, 0], shape], 0)
    return tf.where(inside, tf.concat([first, last - first], 0), whole)


def resized_shape(shape: tf.Tensor, shorter_px: int) -> tf.Tensor:
    """Height and width, (2,) int32, after resizing the shorter side to `shorter_px`."""
    scale = shorter_px / tf.reduce_min(shape)
    return tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32)


def take_view(
    pixels: tf.Tensor, view: View, first: tf.Tensor | tuple[int, int] = (0, 0)
) -> tf.Tensor:
    """Resizes, crops and mirrors.

    Args:
        pixels: (height, width, 3) uint8, the image or the part in `view.pixels_read`.
        view: a view of the whole image.
        first: (2,) int32, first pixel of the part.

    Returns:
        (height, width, 3) uint8 of the view's shape.
    """
    view = view._replace(
        origin=view.origin - tf.cast(first, tf.float64),
        low=tf.maximum(view.low - first, 0),
        high=tf.minimum(view.high - first, tf.shape(pixels)[:2]),
    )
    needs_no_resizing = (view.step == 1.0) & (view.origin == tf.floor(view.origin))
    return tf.cond(
        tf.reduce_all(needs_no_resizing),
        lambda: cut_view(pixels, view),
        lambda: _resample(pixels, view),
    )


def cut_view(pixels: tf.Tensor, view: View) -> tf.Tensor:
    """Takes a view of an image that need not be resized: crops and mirrors it."""
    corner = tf.cast(view.origin, tf.int32)
    begin, size = tf.concat([corner, [0]], 0), tf.concat([view.shape, [3]], 0)
    # tf.reverse takes axes, but whether to reverse this axis is a tensor.
    return tf.raw_ops.Reverse(
        tensor=tf.slice(pixels, begin, size), dims=[False, view.flip, False]
    )


def _resample(pixels, view):
    """Resizes by two products with banded matrices, of which only the bands are stored.

    It takes a third of the time of `tf.image.resize`, and a tenth of the
    multiplications with full matrices.
    """
    places, weights = _taps(view)
    blocks = -(-view.shape // _BLOCK)
    lines = tf.reshape(pixels, (tf.shape(pixels)[0], -1))
    # The 16 rows of a block are the last axis, so that no transposition is needed.
    lines = tf.cast(tf.gather(lines, places[0, : blocks[0]]), tf.float32)
    tall = tf.matmul(lines, weights[0, : blocks[0]], transpose_a=True, transpose_b=True)
    tall = tf.reshape(tall, (blocks[0], tf.shape(pixels)[1], 3 * _BLOCK))
    tall = tf.gather(tall, places[1, : blocks[1]], axis=1)
    wide = tf.matmul(weights[1, : blocks[1]], tall)
    wide = tf.transpose(tf.reshape(wide, (blocks[0], -1, _BLOCK)), (0, 2, 1))
    # Rounds like Pillow. With 0.0001 more, rounding errors do not decide ties.
    wide = tf.cast(wide + 0.5001, tf.uint8)
    image = tf.reshape(wide, (blocks[0] * _BLOCK, -1, 3))
    return image[: view.shape[0], : view.shape[1]]


def _taps(view):
    """The source pixels and weights of both axes, in blocks of 16 pixels.

    Returns:
        The source pixels that a block reads, (2, blocks, taps) int32, and their weights
        in each of its pixels, (2, blocks, 16, taps) float32. The number of blocks is
        that of the longer axis; the shorter axis repeats its last pixel.
    """
    step, support = view.step, tf.maximum(view.step, 1.0)
    blocks = -(-tf.reduce_max(view.shape) // _BLOCK)
    last = view.shape[:, tf.newaxis] - 1
    pixel = tf.minimum(tf.range(blocks * _BLOCK), last)
    mirrored = tf.stack([False, view.flip])[:, tf.newaxis]
    pixel = tf.cast(tf.where(mirrored, last - pixel, pixel), tf.float64)
    center = view.origin[:, tf.newaxis] + (pixel + 0.5) * step[:, tf.newaxis]
    center = tf.reshape(center, (2, -1, _BLOCK))
    start = tf.reduce_min(center, 2, keepdims=True) - support[:, tf.newaxis, tf.newaxis]
    start = tf.floor(start - 0.5)
    taps = tf.reduce_max(tf.math.ceil((_BLOCK - 1) * step + 2 * support)) + 2
    places = start + tf.range(taps)
    low, high = (
        tf.cast(edge, tf.float64)[:, tf.newaxis, tf.newaxis]
        for edge in (view.low, view.high)
    )
    # The numbers relative to `start` are small enough for float32.
    center = tf.cast(center - start - 0.5, tf.float32)[..., tf.newaxis]
    nearness = 1 / tf.cast(support, tf.float32)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    distance = tf.abs(tf.range(tf.cast(taps, tf.float32)) - center)
    allowed = tf.cast((places >= low) & (places < high), tf.float32)
    weights = tf.nn.relu(1 - distance * nearness) * allowed[:, :, tf.newaxis]
    weights /= tf.reduce_sum(weights, -1, keepdims=True)
    places = tf.cast(tf.clip_by_value(places, low, high - 1), tf.int32)
    return places, weights
