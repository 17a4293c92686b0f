"""TensorFlow's own kernels in models that are trained by it."""

import keras
import tensorflow as tf

from mirrorgan_tf.models.blocks import BatchNormalization
from mirrorgan_tf.models.discriminators import ConvBlock

__all__ = ["use_kernels"]


def use_kernels(*models: keras.Model) -> None:
    """Sets kernels where the models' layers leave room for them.

    One does images' batch norms in training, in a quarter of the time. It knows nothing
    of replicas: under several, batch norms stay as they are. Call inside the strategy's
    scope.
    """
    alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    for model in models:
        for layer in model._flatten_layers():
            if isinstance(layer, BatchNormalization) and alone:
                layer.fused = _normalize
            if isinstance(layer, ConvBlock):
                layer.leaky_relu = _leaky_relu


def _normalize(x, scale, offset, epsilon):
    """(B, h, w, C), or several such, to the same, means and variances.

    Returns None for what the kernel does not take.
    """
    if len(x.shape) != 4 or x.dtype == tf.float64:
        return None
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=[],
        variance=[],
        epsilon=epsilon,
        is_training=True,
    )
    positions = tf.cast(tf.size(x) / tf.shape(x)[-1], variance.dtype)
    # The kernel gives the unbiased estimate.
    return y, mean, variance * (positions - 1) / positions


def _leaky_relu(x, slope):
    """With a gradient from the result, which has x's sign and is kept anyway."""

    @tf.custom_gradient
    def run(x):
        y = tf.nn.leaky_relu(x, slope)
        return y, lambda upstream: tf.raw_ops.LeakyReluGrad(
            gradients=upstream, features=y, alpha=slope
        )

    return run(x)
