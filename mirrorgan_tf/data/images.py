"""Loads the images of an index from files, or from memory after decoding them once."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.bad_examples import BadExamples, first_success
from mirrorgan_tf.data.decoding import decode_view
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import load_content
from mirrorgan_tf.data.views import View, box_window, cut_view, resized_shape

__all__ = ["DecodedImages", "ImageFiles", "decode_images", "load_uncropped"]

# From the resized image's height and width, (2,) int32, to the crop's corner and shape.
PlaceCrop = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor | tuple[int, int]]]


class ImageFiles:
    """Reads images from files or shards, and crops, resizes and mirrors them.

    Args:
        index: the images. If it has boxes, images are cropped to them before resizing.
        size: side of the crops in px, which determines the shorter side of the resized
            image.

    Attributes:
        shorter_px: shorter side of the resized image.
    """

    def __init__(self, index: CaptionedImages, size: int):
        self.shorter_px = transforms.load_size(size)
        with tf.device("CPU:0"):
            self._paths = tf.constant(list(index.paths))
            self._boxes, self._offsets = (
                None if column is None else tf.constant(column)
                for column in (index.boxes, index.offsets)
            )

    def load(
        self, row: tf.Tensor, place: PlaceCrop, flip: tf.Tensor | bool
    ) -> tf.Tensor:
        """Loads a crop of one image, (height, width, 3) uint8.

        Args:
            row: () int64, row of the index.
            place: returns the place of the crop in the resized image.
            flip: () bool, mirror it.

        Raises:
            tf.errors.OpError: when run, if it can't be read or decoded.
        """
        offset = None if self._offsets is None else self._offsets[row]
        content = load_content(self._paths[row], offset)

        def find_view(shape):
            window = tf.concat([[0, 0], shape], 0)
            if self._boxes is not None:
                window = box_window(shape, self._boxes[row])
            resized = resized_shape(window[2:], self.shorter_px)
            view = View.of_crop(window, resized, *place(resized), flip)
            return view, tf.reduce_min(window[2:])

        return decode_view(content, find_view, self.shorter_px)


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedImages:
    """N images in memory, resized but not cropped.

    Attributes:
        pixels: uint8, the concatenated pixels of all images.
        starts: (N,) int64, position in `pixels` at which each image begins.
        shapes: (N, 2) int32, height and width; 0 for a bad image.
        shorter_px: shorter side of every image.
    """

    pixels: tf.Tensor
    starts: tf.Tensor
    shapes: tf.Tensor
    shorter_px: int

    def __call__(self, row: tf.Tensor) -> tf.Tensor:
        """The image of one row, (height, width, 3) uint8."""
        height, width = tf.unstack(self.shapes[row])
        size = height * width * 3
        flat = tf.slice(self.pixels, [self.starts[row]], [tf.cast(size, tf.int64)])
        return tf.reshape(flat, (height, width, 3))

    def load(
        self, row: tf.Tensor, place: PlaceCrop, flip: tf.Tensor | bool
    ) -> tf.Tensor:
        """Loads a crop; see `ImageFiles.load`."""
        image = self(row)
        tf.debugging.assert_positive(tf.size(image), "a bad image")
        shape = tf.shape(image)[:2]
        window = tf.concat([[0, 0], shape], 0)
        return cut_view(image, View.of_crop(window, shape, *place(shape), flip))


def decode_images(
    index: CaptionedImages, size: int, bad_examples: BadExamples | None = None
) -> DecodedImages:
    """Decodes all images for crops of `size` px.

    Args:
        index: the images.
        size: side of the crops in px.
        bad_examples: handles bad images; None: fail at the first.

    Raises:
        tf.errors.OpError: an image is bad and the policy is "fail"; `data_errors`
            turns it into a `UserError`.
    """
    files = ImageFiles(index, size)
    bad_examples = bad_examples or BadExamples(index)

    with tf.device("CPU:0"):
        dataset = tf.data.Dataset.range(len(index)).map(
            tf.autograph.experimental.do_not_convert(
                lambda row: load_uncropped(files, row, bad_examples)
            ),
            tf.data.AUTOTUNE,
        )
        images = list(dataset.as_numpy_iterator())
        shapes = np.array([image.shape[:2] for image in images], np.int32)
        sizes = np.array([image.size for image in images], np.int64)
        return DecodedImages(
            pixels=tf.constant(np.concatenate([image.ravel() for image in images])),
            starts=tf.constant(np.cumsum(sizes) - sizes),
            shapes=tf.constant(shapes),
            shorter_px=files.shorter_px,
        )


def load_uncropped(
    files: ImageFiles, row: tf.Tensor, bad_examples: BadExamples
) -> tf.Tensor:
    """A resized image without a crop; (0, 0, 3) for a bad image that is skipped."""
    failures, image = first_success(
        lambda _: files.load(row, lambda shape: ((0, 0), shape), False),
        attempts=1,
        default=tf.zeros((0, 0, 3), tf.uint8),
    )
    bad_examples.report_in_graph(tf.repeat(row, failures), exhausted=False)
    return image
