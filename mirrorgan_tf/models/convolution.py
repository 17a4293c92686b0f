"""Convolutions that are matrix products where few pixels have many channels."""

import keras
from keras import layers, ops

__all__ = ["Conv2D", "convolution_as_product", "patches"]

# Positions of the result up to which convolutions read weights more than images, which
# oneDNN's do at a tenth to a half of a matrix product's rate.
_FEW_POSITIONS = 64


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
            if height * width <= _FEW_POSITIONS * self.strides[0] ** 2:
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
    after = size - stride - before
    x = ops.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    rows, columns = (x.shape[axis] // stride for axis in (1, 2))
    # Of `stride` neighbours each: slices of them are not strided, which would be slow.
    x = ops.reshape(x, (-1, rows, stride, columns, stride * channels))
    x = _windows(x, 3, size // stride)
    x = ops.transpose(x, (0, 1, 3, 2, 4))
    x = ops.reshape(x, (-1, rows, width // stride, stride * size * channels))
    return _windows(x, 1, size // stride)


def _windows(x, axis, number):
    """Each place along an axis with those that follow, as channels."""
    if number == 1:
        return x
    places = x.shape[axis] - number + 1

    # What TensorFlow makes of slices' gradients are a dozen operations each.
    @ops.custom_gradient
    def run(x):
        windows = []
        for first in range(number):
            starts, shape = [0] * len(x.shape), list(ops.shape(x))
            starts[axis], shape[axis] = first, places
            windows.append(ops.slice(x, starts, shape))

        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            padded = []
            for first, part in enumerate(ops.split(upstream, number, axis=-1)):
                margins = [(0, 0)] * len(x.shape)
                margins[axis] = (first, number - 1 - first)
                padded.append(ops.pad(part, margins))
            return sum(padded[1:], padded[0])

        return ops.concatenate(windows, axis=-1), gradient

    return run(x)
