"""Nearest-neighbour upsampling by 2, followed by a 'same' 3×3 convolution.

Fast version: two of any three neighbours in the upsampled image are the same pixel. So
each of the four pixels that one pixel becomes (its sub-pixel outputs) is a 2×2
convolution of the small image with sums of the kernel's taps: 4/9 of the
multiplications.
"""

from keras import backend, ops

from mirrorgan_tf.ops.convolution import conv2d
from mirrorgan_tf.ops.selection import Operation, is_fast

__all__ = ["plain_upsample_conv2d", "upsample_conv2d", "upsample_conv2d_by_subpixels"]

# Side in px. Below, a layer has as many channels as pixels, and summing the kernel's
# taps costs more than it saves.
MIN_SIDE_FOR_SUBPIXELS = 16


def upsample_conv2d(x, kernel, bias=None, activation=None):
    """Upsamples, convolves, adds the bias and applies the activation.

    Args:
        x: (B, h, w, channels).
        kernel: (3, 3, channels, filters).
        bias: (filters,), or None.
        activation: a function of each position on its own, or None.

    Returns:
        (B, 2h, 2w, filters), or the activation's result for that.
    """
    dtype = backend.standardize_dtype(x.dtype)
    if is_fast(Operation.UPSAMPLING, dtype) and x.shape[1] >= MIN_SIDE_FOR_SUBPIXELS:
        return upsample_conv2d_by_subpixels(x, kernel, bias, activation)
    return plain_upsample_conv2d(x, kernel, bias, activation)


def plain_upsample_conv2d(x, kernel, bias=None, activation=None):
    """The plain version."""
    x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
    return _add_bias_and_activate(conv2d(x, kernel), bias, activation)


def upsample_conv2d_by_subpixels(x, kernel, bias=None, activation=None):
    """One 2×2 convolution for each of the four sub-pixel outputs."""
    _, height, width, _ = x.shape
    # All four read one image that is padded on all sides, instead of four copies.
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    outputs = []
    for down in (0, 1):
        half_summed = _sum_taps(kernel, down, axis=0)
        for right in (0, 1):
            y = ops.conv(x, _sum_taps(half_summed, right, axis=1), padding="valid")
            y = ops.slice(
                y, (0, down, right, 0), (ops.shape(x)[0], height, width, y.shape[-1])
            )
            # Before the outputs are joined: the activation may halve the channels.
            outputs.append(_add_bias_and_activate(y, bias, activation))
    return _interleave(outputs)


def _sum_taps(kernel, second, axis):
    """Three taps of a kernel as two, by adding the two that read the same pixel."""
    before, here, after = ops.split(kernel, 3, axis=axis)
    pair = (before + here, after) if second else (before, here + after)
    return ops.concatenate(pair, axis=axis)


def _interleave(outputs):
    """Upper left, upper right, lower left, lower right (B, h, w, C) as one image."""
    _, height, width, channels = outputs[0].shape
    upper, lower = (ops.stack(outputs[i : i + 2], axis=3) for i in (0, 2))
    # (B, h, 2, w, 2, C)
    x = ops.stack([upper, lower], axis=2)
    return ops.reshape(x, (-1, 2 * height, 2 * width, channels))


def _add_bias_and_activate(x, bias, activation):
    if bias is not None:
        x = ops.add(x, bias)
    return x if activation is None else activation(x)
