"""Convolutions with 'same' padding.

Fast version: a matrix product where few positions have many channels. There most of the
data that a convolution reads are weights, and oneDNN's convolutions read weights at a
tenth to a half of the rate of its matrix products.
"""

import numpy as np
from keras import backend, ops

from mirrorgan_tf.ops.selection import Operation, is_fast

__all__ = ["conv2d", "conv2d_by_matmul", "plain_conv2d"]

# Positions of the result, 8×8.
MAX_POSITIONS_FOR_MATMUL = 64


def conv2d(x, kernel, stride: int = 1):
    """A 'same' convolution.

    Args:
        x: (B, h, w, channels).
        kernel: (size, size, channels, filters).
        stride: in px, both ways.

    Returns:
        (B, ceil(h / stride), ceil(w / stride), filters).
    """
    dtype = backend.standardize_dtype(x.dtype)
    if is_fast(Operation.CONVOLUTION, dtype) and _suits_matmul(
        x.shape, kernel.shape[0], stride
    ):
        return conv2d_by_matmul(x, kernel, stride)
    return plain_conv2d(x, kernel, stride)


def plain_conv2d(x, kernel, stride: int = 1):
    """The plain version."""
    return ops.conv(x, kernel, strides=stride, padding="same")


def conv2d_by_matmul(x, kernel, stride: int = 1):
    """The patch around each position times the kernel.

    The sides of `x` and of the kernel must be multiples of `stride`.
    """
    size, _, _, filters = kernel.shape
    patches = _extract_patches(x, size, stride)
    _, height, width, values = patches.shape
    # Of rank 3: TensorFlow's batched product does not copy a transposed kernel, as its
    # product of two matrices does in gradients.
    product = ops.matmul(
        ops.reshape(patches, (1, -1, values)), ops.reshape(kernel, (1, values, filters))
    )
    return ops.reshape(product, (-1, height, width, filters))


def _suits_matmul(shape, size, stride):
    _, height, width, _ = shape
    return (
        size > 1
        and height is not None
        and width is not None
        and height * width <= MAX_POSITIONS_FOR_MATMUL * stride**2
        and not (size % stride or height % stride or width % stride)
    )


def _extract_patches(x, size, stride):
    """The inputs of each position: (B, h / stride, w / stride, size² · channels)."""
    _, height, width, channels = x.shape
    before = (size - stride) // 2
    padding = before, size - stride - before
    rows, columns, number = height // stride, width // stride, size // stride
    # Patches that overlap share blocks of `stride` neighbours in a row.
    blocks_per_row = columns + number - 1
    row, column, down, right = np.ogrid[:rows, :columns, :size, :number]
    block_index = (row * stride + down) * blocks_per_row + column + right

    # TensorFlow's own gradient of `take` scatters, which is slow: sum shifted views.
    @ops.custom_gradient
    def extract(x):
        x = ops.pad(x, ((0, 0), padding, padding, (0, 0)))
        padded_shape = x.shape
        blocks = ops.reshape(x, (-1, x.shape[1] * blocks_per_row, stride * channels))
        patches = ops.take(blocks, block_index.ravel().astype("int32"), axis=1)

        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            shape = (-1, rows, columns, number, stride, number, stride * channels)
            upstream = ops.reshape(upstream, shape)
            total = 0
            for down in range(number):
                for right in range(number):
                    part = ops.transpose(
                        upstream[:, :, :, down, :, right], (0, 1, 3, 2, 4)
                    )
                    vertical, horizontal = (
                        (shift, number - 1 - shift) for shift in (down, right)
                    )
                    total += ops.pad(
                        part, ((0, 0), vertical, (0, 0), horizontal, (0, 0))
                    )
            total = ops.reshape(total, (-1, *padded_shape[1:]))
            return total[:, before : before + height, before : before + width]

        return ops.reshape(patches, (-1, rows, columns, size**2 * channels)), gradient

    return extract(x)
