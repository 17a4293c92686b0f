"""Batch norm by the moments of the batch, in training.

Keras' moments are not used, for three reasons. Within the variance they treat the mean
as a constant, which is right for first derivatives but wrong for second ones (gradient
penalties). Over replicas they subtract E[x]² from E[x²], which cancels for vectors of a
small batch, and need three collectives. And they sum all positions of a batch at once,
hundreds of thousands at 256 px; here each row is averaged first, then each image.

Fast version: TensorFlow's fused kernel, for images on one replica.
"""

import keras
from keras import ops

from mirrorgan_tf.ops.selection import Operation, is_fast

__all__ = ["batch_norm", "fused_batch_norm", "plain_batch_norm"]


def batch_norm(x, scale, offset, *, epsilon: float, batches: int, synchronized: bool):
    """Normalises each of several batches by its own moments.

    Args:
        x: (batches · B, ..., C), batches that follow one another.
        scale: (C,), gamma.
        offset: (C,), beta.
        epsilon: added to the variance.
        batches: their number.
        synchronized: take the moments over all replicas, whose batches are of one size.

    Returns:
        Outputs like `x`, and the batches' means and variances, tuples of (C,), at least
        float32. The variance is the batch's own, divided by n.
    """
    parts = ops.split(x, batches) if batches > 1 else [x]
    dtype = keras.backend.standardize_dtype(x.dtype)
    if len(x.shape) == 4 and is_fast(Operation.BATCH_NORM, dtype):
        results = [fused_batch_norm(part, scale, offset, epsilon) for part in parts]
    else:
        results = plain_batch_norm(parts, scale, offset, epsilon, synchronized)
    outputs, means, variances = zip(*results, strict=True)
    output = ops.concatenate(outputs) if batches > 1 else outputs[0]
    return output, means, variances


def plain_batch_norm(parts, scale, offset, epsilon, synchronized=False):
    """The plain version: (output, mean, variance) of each batch in `parts`."""
    result_dtype = parts[0].dtype
    # The squares of half precision overflow.
    dtype = keras.backend.result_type(result_dtype, "float32")
    parts = [ops.cast(part, dtype) for part in parts]
    moments = [_moments(part) for part in parts]
    if synchronized:
        moments = _moments_over_replicas(moments)
    results = []
    for part, (mean, variance) in zip(parts, moments, strict=True):
        output = ops.batch_normalization(
            part,
            mean,
            variance,
            axis=-1,
            offset=ops.cast(offset, dtype),
            scale=ops.cast(scale, dtype),
            epsilon=epsilon,
        )
        results.append((ops.cast(output, result_dtype), mean, variance))
    return results


def _moments(x):
    mean = _mean_of_channels(x)
    return mean, _mean_of_channels(ops.square(x - mean))


def _mean_of_channels(x):
    """(B, ..., C) to (C,)."""
    while len(x.shape) > 1:
        x = ops.mean(x, axis=-2)
    return x


def _moments_over_replicas(moments):
    """Mean and variance of each batch over all replicas, by one collective."""
    # (replicas, batches, 2, C)
    stacked = _stack_over_replicas(ops.stack([ops.stack(pair) for pair in moments]))
    means, variances = ops.unstack(stacked, axis=2)
    mean = ops.mean(means, axis=0)
    # The variance within replicas and that between them.
    variance = ops.mean(variances + ops.square(means - mean), axis=0)
    return list(zip(ops.unstack(mean), ops.unstack(variance), strict=True))


def _stack_over_replicas(values):
    """(...) of each replica to (replicas, ...) on all of them.

    A sum of rows that are zero but for the replica's own: TensorFlow's `all_gather`
    takes a second collective for the lengths, which are the same here.
    """
    # Only the TensorFlow backend has replicas that each compute on their own.
    if keras.backend.backend() != "tensorflow":
        return values[None]
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas == 1:
        return values[None]
    own_row = tf.one_hot(context.replica_id_in_sync_group, replicas, dtype=values.dtype)
    rows = tf.reshape(own_row, (replicas,) + (1,) * len(values.shape)) * values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, rows)


def fused_batch_norm(x, scale, offset, epsilon):
    """TensorFlow's kernel on (B, h, w, C): output, mean and variance."""
    import tensorflow as tf

    moments = []

    # TensorFlow's own gradient first creates zeros for each of the six outputs.
    @tf.custom_gradient
    def normalize(x, scale, offset):
        y, mean, variance, *reserved = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=[],
            variance=[],
            epsilon=epsilon,
            is_training=True,
        )
        moments.extend((mean, variance))

        def gradient(upstream):
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=x,
                scale=scale,
                reserve_space_1=reserved[0],
                reserve_space_2=reserved[1],
                reserve_space_3=reserved[2],
                epsilon=epsilon,
                is_training=True,
            )[:3]

        return y, gradient

    y = normalize(x, tf.convert_to_tensor(scale), tf.convert_to_tensor(offset))
    mean, variance = moments
    positions = x.shape[:-1].num_elements()
    if positions is None:
        positions = tf.cast(tf.size(x) / tf.shape(x)[-1], variance.dtype)
    # The kernel divides by n - 1.
    return y, mean, variance * ((positions - 1) / positions)
