"""Crop, resize and mirror in one step: only the pixels of the crop are computed.

A view says where in an image the pixels of a crop of the resized image lie. Taking it
gives what resizing the whole image (bilinear, antialiased, as Pillow does it) and
cropping the result would give, at the cost of the crop.
"""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["View", "box_window", "cut_view", "resized_shape", "take_view"]

# Rows (or columns) that are computed from the same source rows by one matrix product.
_BLOCK = 16
# The outermost columns of a partly decoded JPEG miss the colour of their neighbours.
_MARGIN_PX = 2
_ROUND_PX = 16


class View(NamedTuple):
    """Where the pixels of a crop lie; pairs are (down, right).

    Attributes:
        origin: (2,) float64, where in the image the crop's corner lies, in px.
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
        """The view of a crop of a resized window.

        Args:
            window: (4,) int32, top, left, height and width in px of the image.
            resized: (2,) int32, what the window is resized to.
            corner: (2,) int32, top and left of the crop in the resized window.
            shape: of the crop.
            flip: mirror it.
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
        """The same view of an image decoded `ratio`, () int32, times smaller."""
        return self._replace(
            origin=self.origin / tf.cast(ratio, tf.float64),
            step=self.step / tf.cast(ratio, tf.float64),
            low=self.low // ratio,
            high=-(-self.high // ratio),
        )

    def reach(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """First pixel, (2,) int32, and one past the last that taking it reads.

        Args:
            shape: (2,) int32 of the image.
        """
        support = tf.maximum(self.step, 1.0)
        length = tf.cast(self.shape, tf.float64) * self.step + 2 * support
        # The same for all places of a crop, and a round number, because preparing a
        # matrix product for a new size takes longer than the product.
        length = tf.cast(tf.math.ceil(length), tf.int32) + 2 * _MARGIN_PX + 1
        length = tf.minimum(-(-length // _ROUND_PX) * _ROUND_PX, shape)
        first = tf.cast(tf.floor(self.origin - support), tf.int32) - _MARGIN_PX
        first = tf.clip_by_value(first, 0, shape - length)
        return first, first + length


def box_window(shape: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The square around a box, as far as it lies in the image.

    Its half-side is 0.75 times the box's longer side, its centre the box's, both
    rounded down. A box beside the image gives the whole image.

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
    """Height and width, (2,) int32, once the shorter side is `shorter_px`."""
    scale = shorter_px / tf.reduce_min(shape)
    return tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32)


def take_view(
    pixels: tf.Tensor, view: View, first: tf.Tensor | tuple[int, int] = (0, 0)
) -> tf.Tensor:
    """Resizes, crops and mirrors.

    Args:
        pixels: (height, width, 3) uint8, the image or the part in the view's reach.
        view: of the whole image.
        first: (2,) int32, where in the image the part begins.

    Returns:
        (height, width, 3) uint8 of the view's shape.
    """
    view = view._replace(
        origin=view.origin - tf.cast(first, tf.float64),
        low=tf.maximum(view.low - first, 0),
        high=tf.minimum(view.high - first, tf.shape(pixels)[:2]),
    )
    as_it_is = (view.step == 1.0) & (view.origin == tf.floor(view.origin))
    return tf.cond(
        tf.reduce_all(as_it_is),
        lambda: cut_view(pixels, view),
        lambda: _resample(pixels, view),
    )


def cut_view(pixels: tf.Tensor, view: View) -> tf.Tensor:
    """As `take_view` for an image of the right size: crops and mirrors only."""
    corner = tf.cast(view.origin, tf.int32)
    begin, size = tf.concat([corner, [0]], 0), tf.concat([view.shape, [3]], 0)
    # tf.reverse does not accept a tensor that says whether to reverse.
    return tf.raw_ops.Reverse(
        tensor=tf.slice(pixels, begin, size), dims=[False, view.flip, False]
    )


def _resample(pixels, view):
    """Two products with banded matrices, of which only the bands are multiplied.

    An order of magnitude fewer multiplications than with whole matrices, and a
    third of the time of `tf.image.resize`.
    """
    places, weights = _taps(view)
    blocks = -(-view.shape // _BLOCK)
    lines = tf.reshape(pixels, (tf.shape(pixels)[0], -1))
    # The 16 rows of a block come last, so that no transposition is needed in between.
    lines = tf.cast(tf.gather(lines, places[0, : blocks[0]]), tf.float32)
    tall = tf.matmul(lines, weights[0, : blocks[0]], transpose_a=True, transpose_b=True)
    tall = tf.reshape(tall, (blocks[0], tf.shape(pixels)[1], 3 * _BLOCK))
    tall = tf.gather(tall, places[1, : blocks[1]], axis=1)
    wide = tf.matmul(weights[1, : blocks[1]], tall)
    wide = tf.transpose(tf.reshape(wide, (blocks[0], -1, _BLOCK)), (0, 2, 1))
    # Rounds as Pillow does; the 0.0001 makes ties independent of the order of a sum.
    wide = tf.cast(wide + 0.5001, tf.uint8)
    image = tf.reshape(wide, (blocks[0] * _BLOCK, -1, 3))
    return image[: view.shape[0], : view.shape[1]]


def _taps(view):
    """The source pixels of each pixel along an axis, in blocks; both axes at once.

    Returns:
        The source pixels that a block reads, (2, blocks, taps) int32, and their
        weights in each of its pixels, (2, blocks, 16, taps) float32. Blocks are as
        many as the longer axis has; what lies beyond an axis repeats its end.
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
    # The large tensors are float32; their numbers are small.
    center = tf.cast(center - start - 0.5, tf.float32)[..., tf.newaxis]
    nearness = 1 / tf.cast(support, tf.float32)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    distance = tf.abs(tf.range(tf.cast(taps, tf.float32)) - center)
    allowed = tf.cast((places >= low) & (places < high), tf.float32)
    weights = tf.nn.relu(1 - distance * nearness) * allowed[:, :, tf.newaxis]
    weights /= tf.reduce_sum(weights, -1, keepdims=True)
    places = tf.cast(tf.clip_by_value(places, low, high - 1), tf.int32)
    return places, weights
