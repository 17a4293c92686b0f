"""Convolutions of models in training, where oneDNN has a faster way."""

import tensorflow as tf

from mirrorgan_tf.models.convolution import FEW_POSITIONS, patches

__all__ = ["convolved", "upsampled"]

# Of a convolution's result, up to which half precision's gradients of kernels cost more
# than a product of what the kernel sees, with the copies that takes.
_SOME_POSITIONS = 256

# Of a convolution, up to which oneDNN's gradient of the kernel runs at a tenth.
_FEW_FILTERS = 4


def convolved(x, kernel, stride):
    """A 'same' convolution in bfloat16 with a gradient by the kernel of our own.

    Returns None where TensorFlow's costs less, or about as much but less memory.
    """
    _, height, width, _ = x.shape
    size, _, _, filters = kernel.shape
    if x.dtype != tf.bfloat16:
        return None
    if stride == 1 and size % 2 and filters <= _FEW_FILTERS:
        by_kernel = _by_shifts
    elif height * width <= _SOME_POSITIONS * stride**2:
        by_kernel = _by_product
    else:
        return None

    @tf.custom_gradient
    def run(x, kernel):
        def gradient(upstream):
            by_image = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(x),
                filter=kernel,
                out_backprop=upstream,
                strides=[1, stride, stride, 1],
                padding="SAME",
            )
            return by_image, by_kernel(x, upstream, size, stride)

        return tf.nn.conv2d(x, kernel, stride, "SAME"), gradient

    return run(x, kernel)


def _by_product(x, upstream, size, stride):
    """What the kernel sees, times the gradient."""
    seen = patches(x, size, stride)
    # Of rank 3, as in `convolution_as_product`.
    by_kernel = tf.matmul(
        tf.reshape(seen, (1, -1, seen.shape[-1])),
        tf.reshape(upstream, (1, -1, upstream.shape[-1])),
        transpose_a=True,
    )
    return tf.reshape(by_kernel, (size, size, x.shape[-1], upstream.shape[-1]))


def _by_shifts(x, upstream, size, stride):
    """Of few filters: the gradient, shifted to where each tap sees it, as channels.

    A 1×1 convolution's gradient then, of as many filters as oneDNN likes. Stride 1.
    """
    filters = upstream.shape[-1]
    shifts = size**2 * filters
    each = tf.reshape(tf.eye(shifts, dtype=x.dtype), (size, size, filters, shifts))
    by_taps = tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=[1, 1, x.shape[-1], shifts],
        out_backprop=tf.nn.conv2d(upstream, each, 1, "SAME"),
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
    by_taps = tf.reshape(by_taps, (x.shape[-1], size, size, filters))
    return tf.transpose(by_taps[:, ::-1, ::-1], (1, 2, 0, 3))


def upsampled(x, kernel):
    """Nearest-neighbour upsampling by 2 and a 'same' 3×3 convolution, in one.

    Of three neighbours at twice the side two are the same pixel. So each pixel gives
    its own to 4×4 of the result, by sums of the kernel's taps: a transposed convolution
    of stride 2. XLA and half precisions other than bfloat16 take five times as long.

    Returns None where the result is so small that a product is better.
    """
    _, height, width, _ = x.shape
    if x.dtype == tf.float16 or 4 * height * width <= FEW_POSITIONS:
        return None
    kernel = _four_taps(_four_taps(kernel, axis=0), axis=1)
    # (B, 2h, 2w, any), B not known before the step runs.
    shape = tf.concat([tf.shape(x)[:1], [2 * height, 2 * width, kernel.shape[-1]]], 0)
    kernel = tf.transpose(kernel, (0, 1, 3, 2))
    return tf.nn.conv2d_transpose(x, kernel, shape, strides=2, padding="SAME")


def _four_taps(kernel, axis):
    """What a pixel gives to its pair and to the one on either side."""
    before, here, after = tf.split(kernel, 3, axis)
    return tf.concat([after, here + after, before + here, before], axis)
