"""Convolutions that are matrix products where few pixels have many channels."""

import keras
import numpy as np
from keras import layers, ops

__all__ = ["FEW_POSITIONS", "Conv2D", "convolution_as_product", "patches"]

# Positions of the result up to which convolutions read weights more than images, which
# oneDNN's do at a tenth to a half of a matrix product's rate.
FEW_POSITIONS = 64


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Conv2D(layers.Conv2D):
    """Keras' convolution; same arguments, weights and results."""

    # (inputs, kernel, stride) to the same where a product would do as well, or to None:
    # what a backend may do better, set from outside.
    convolved = None

    def convolution_op(self, inputs, kernel):
        """By a matrix product if the result is at most 8×8."""
        if self._may_be_product(inputs.shape):
            _, height, width, _ = inputs.shape
            if height * width <= FEW_POSITIONS * self.strides[0] ** 2:
                return convolution_as_product(inputs, kernel, self.strides[0])
            if self.convolved is not None:
                result = self.convolved(inputs, kernel, self.strides[0])
                if result is not None:
                    return result
        return super().convolution_op(inputs, kernel)

    def convolving_kernel(self, training=False):
        """What convolves, for who convolves part by part."""
        return self.kernel

    def _may_be_product(self, shape):
        size, stride = self.kernel_size[0], self.strides[0]
        _, height, width, _ = shape
        return (
            self.kernel_size == (size, size)
            and self.strides == (stride, stride)
            and self.dilation_rate == (1, 1)
            and self.groups == 1
            and self.padding == "same"
            and self.data_format == "channels_last"
            and size > 1
            and None not in (height, width)
            and not (size % stride or height % stride or width % stride)
        )


def convolution_as_product(x, kernel, stride: int):
    """A 'same' convolution: what the kernel sees of each position, times the kernel.

    Args:
        x: (B, h, w, channels), sides multiples of `stride`.
        kernel: (size, size, channels, any), `size` a multiple of `stride`.
        stride: in px, both ways.

    Returns:
        (B, h / stride, w / stride, any).
    """
    size, _, _, filters = kernel.shape
    seen = patches(x, size, stride)
    _, height, width, values = seen.shape
    # Of rank 3: TensorFlow's products of batches, of one here, do not copy a transposed
    # kernel, as those of matrices do in gradients.
    seen = ops.reshape(seen, (1, -1, values))
    product = ops.matmul(seen, ops.reshape(kernel, (1, values, filters)))
    return ops.reshape(product, (-1, height, width, filters))


def patches(x, size: int, stride: int):
    """What a 'same' kernel sees of each position.

    Args:
        x: (B, h, w, channels), sides multiples of `stride`.
        size: of the kernel, a multiple of `stride`.
        stride: in px, both ways.

    Returns:
        (B, h / stride, w / stride, size · size · channels).
    """
    _, height, width, channels = x.shape
    before = (size - stride) // 2
    margins = before, size - stride - before
    rows, columns, number = height // stride, width // stride, size // stride
    # Of `stride` neighbours each, the pieces that positions have in common.
    across = columns + number - 1
    row, column, down, right = np.ogrid[:rows, :columns, :size, :number]
    places = (row * stride + down) * across + column + right

    # TensorFlow would make the gradient of a gathering by scattering.
    @ops.custom_gradient
    def run(x):
        x = ops.pad(x, ((0, 0), margins, margins, (0, 0)))
        pieces = ops.reshape(x, (-1, x.shape[1] * across, stride * channels))
        seen = ops.take(pieces, places.ravel().astype("int32"), axis=1)

        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            shape = (-1, rows, columns, number, stride, number, stride * channels)
            upstream = ops.reshape(upstream, shape)
            summed = 0
            for down in range(number):
                for right in range(number):
                    part = ops.transpose(
                        upstream[:, :, :, down, :, right], (0, 1, 3, 2, 4)
                    )
                    around = (down, number - 1 - down), (right, number - 1 - right)
                    summed += ops.pad(
                        part, ((0, 0), around[0], (0, 0), around[1], (0, 0))
                    )
            summed = ops.reshape(summed, (-1, *x.shape[1:]))
            return summed[:, before : before + height, before : before + width]

        return ops.reshape(seen, (-1, rows, columns, size**2 * channels)), gradient

    return run(x)
