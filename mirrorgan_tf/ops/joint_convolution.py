"""'Same' convolution of image features and, at every position, a sentence.

Fast version: the kernel is split. The convolution of the features is the same for all
sentences that go with an image, and that of the sentence needs no image.
"""

import numpy as np
from keras import backend, ops

from mirrorgan_tf.ops.convolution import conv2d
from mirrorgan_tf.ops.selection import Operation, is_fast

__all__ = ["joint_conv2d", "joint_conv2d_by_parts", "plain_joint_conv2d"]


def joint_conv2d(features, sentence, kernel):
    """Convolves features with the sentence appended to every position's channels.

    Args:
        features: (N, h, w, C).
        sentence: (M, D), N ≤ M ≤ 2N. Sentence N + i goes with features i.
        kernel: (size, size, C + D, filters).

    Returns:
        (M, h, w, filters).
    """
    dtype = backend.standardize_dtype(features.dtype)
    if is_fast(Operation.JOINT_CONVOLUTION, dtype):
        return joint_conv2d_by_parts(features, sentence, kernel)
    return plain_joint_conv2d(features, sentence, kernel)


def plain_joint_conv2d(features, sentence, kernel):
    """The plain version."""
    _, height, width, _ = features.shape
    features = _one_for_each_sentence(features, sentence)
    sentence = ops.cast(sentence, features.dtype)[:, None, None, :]
    sentence = ops.tile(sentence, (1, height, width, 1))
    return conv2d(ops.concatenate([features, sentence], axis=-1), kernel)


def joint_conv2d_by_parts(features, sentence, kernel):
    """The sum of the features' and the sentence's convolutions."""
    feature_kernel, sentence_kernel = ops.split(kernel, [features.shape[-1]], axis=2)
    x = _one_for_each_sentence(conv2d(features, feature_kernel), sentence)
    return x + _conv2d_of_constant(sentence, sentence_kernel, features.shape[1:3])


def _one_for_each_sentence(features, sentence):
    """(N, ...) to (M, ...), by repeating the first features at the end."""
    missing = ops.shape(sentence)[0] - ops.shape(features)[0]
    return ops.concatenate([features, features[:missing]])


def _conv2d_of_constant(vectors, kernel, shape):
    """'Same' convolution of images (B, *shape, D) with a vector at all positions."""
    size, _, dim, filters = kernel.shape
    taps = ops.matmul(
        ops.cast(vectors, kernel.dtype)[None], ops.reshape(kernel, (-1, dim, filters))
    )
    rows, columns = (
        [
            [0 <= position + tap - size // 2 < side for tap in range(size)]
            for position in range(side)
        ]
        for side in shape
    )
    # (positions, taps): 1 where a tap lies inside the image.
    inside = ops.cast(np.kron(rows, columns), kernel.dtype)
    x = ops.matmul(inside, ops.reshape(taps, (size**2, -1)))
    return ops.transpose(ops.reshape(x, (*shape, -1, filters)), (2, 0, 1, 3))
