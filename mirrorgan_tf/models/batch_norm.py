"""Batch norm over the batches of all replicas."""

import keras
from keras import layers

from mirrorgan_tf.ops.batch_norm import batch_norm

__all__ = ["BatchNormalization", "batch_normalization", "normalize"]


def batch_normalization(*, momentum: float = 0.9, dtype) -> "BatchNormalization":
    """Batch norm over the global batch, scale N(1, 0.02) (authors' code).

    Keras momentum = 1 - PyTorch momentum. The running variance is the batch's own;
    PyTorch keeps the unbiased estimate, n / (n - 1) times as large.
    """
    return BatchNormalization(
        momentum=momentum,
        epsilon=1e-5,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02),
        # Keras refuses it on other backends, which have no replicas.
        synchronized=keras.backend.backend() == "tensorflow",
        dtype=dtype,
    )


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch norm, differentiable twice and exact over several replicas.

    Replicas must have batches of equal size. Channels are last. There are no masks.
    `ops.batch_norm` explains how its moments differ from those of Keras.
    """

    def call(self, inputs, batches=1, training=None):
        """As Keras' layer.

        Args:
            inputs: (batches · B, ..., C).
            batches: number of batches that follow one another in `inputs`. Each is
                normalised by its own moments and moves the averages, in order.
            training: use the moments of the batch.
        """
        if not (training and self.trainable):
            return super().call(inputs)
        output, means, variances = batch_norm(
            inputs,
            self.gamma,
            self.beta,
            epsilon=self.epsilon,
            batches=batches,
            synchronized=self.synchronized,
        )
        for mean, variance in zip(means, variances, strict=True):
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        return output

    def _move(self, average, moment):
        average.assign(average * self.momentum + moment * (1.0 - self.momentum))


def normalize(x, norm, *, training):
    """Applies a batch norm, or nothing where it is None (folded for serving)."""
    return x if norm is None else norm(x, training=training)
