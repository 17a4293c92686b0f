"""Batch norm over the batches of all replicas."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.replicas import stack_over_replicas

__all__ = ["BatchNormalization", "batch_normalization", "normalized"]


def batch_normalization(*, momentum: float = 0.9, dtype) -> "BatchNormalization":
    """Batch norm over the global batch, scale N(1, 0.02) (authors' code).

    Keras' momentum is 1 - PyTorch's. The running variance is the batch's own; PyTorch
    keeps the unbiased estimate, n / (n - 1) times as large.
    """
    return BatchNormalization(
        momentum=momentum,
        epsilon=1e-5,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
        # Keras refuses it on other backends, where no replicas compute on their own.
        synchronized=keras.backend.backend() == "tensorflow",
        dtype=dtype,
    )


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch norm, differentiable twice and exact over several replicas.

    Keras' moments differ in three ways. Within the variance they take the mean for a
    constant, which is right for first derivatives but wrong for second ones (gradient
    penalties). Over replicas they subtract E[x]² from E[x²], which cancels for vectors
    of a small batch, and need three collectives. And they add up all positions of a
    batch in one go, hundreds of thousands at 256 px; here each row, then each image is
    averaged first.

    Replicas must have batches of equal size. Channels are last. There are no masks.
    """

    # (x, gamma, beta, epsilon) to x normalised, mean and variance, or to None: what a
    # backend may have for that in one, set from outside.
    fused = None

    def call(self, inputs, batches=1, training=None):
        """As Keras' layer.

        Args:
            inputs: (batches · B, .., C).
            batches: number of batches that follow one another in `inputs`. Each is
                normalised by its own moments and moves the averages, in order.
            training: use the moments of the batch.
        """
        if not (training and self.trainable):
            return super().call(inputs)
        parts = ops.split(inputs, batches) if batches > 1 else [inputs]
        outputs = []
        for output, mean, variance in self._normalize(parts):
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
            outputs.append(output)
        return ops.concatenate(outputs) if batches > 1 else outputs[0]

    def _normalize(self, parts):
        """Output, mean and variance of each batch."""
        if self.fused is not None:
            results = [
                self.fused(part, self.gamma, self.beta, self.epsilon) for part in parts
            ]
            if results[0] is not None:
                return results
        # Half precision's squares overflow.
        dtype = keras.backend.result_type(parts[0].dtype, "float32")
        parts = [ops.cast(part, dtype) for part in parts]
        results = []
        for part, (mean, variance) in zip(
            parts, self._batch_moments(parts), strict=True
        ):
            output = ops.batch_normalization(
                part,
                mean,
                variance,
                axis=-1,
                offset=ops.cast(self.beta, dtype),
                scale=ops.cast(self.gamma, dtype),
                epsilon=self.epsilon,
            )
            results.append((ops.cast(output, self.compute_dtype), mean, variance))
        return results

    def _batch_moments(self, parts):
        """Mean and variance of each batch, both (C,), over all replicas."""
        own = []
        for part in parts:
            mean = _mean_of_channels(part)
            own.append((mean, _mean_of_channels(ops.square(part - mean))))
        if not self.synchronized:
            return own
        # One collective for all moments of this call: (replicas, batches, 2, C).
        moments = stack_over_replicas(ops.stack([ops.stack(pair) for pair in own]))
        means, variances = ops.unstack(moments, axis=2)
        mean = ops.mean(means, axis=0)
        # Within replicas and between them.
        variance = ops.mean(variances + ops.square(means - mean), axis=0)
        return list(zip(ops.unstack(mean), ops.unstack(variance), strict=True))

    def _move(self, average, moment):
        average.assign(average * self.momentum + moment * (1.0 - self.momentum))


def _mean_of_channels(x):
    """(B, .., C) to (C,)."""
    while len(x.shape) > 1:
        x = ops.mean(x, axis=-2)
    return x


def normalized(x, norm, *, training):
    """Through a batch norm, or as it is where that is None (folded, for serving)."""
    return x if norm is None else norm(x, training=training)
