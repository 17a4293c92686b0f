"""TensorFlow's own kernels in models that are trained by it."""

import keras
import tensorflow as tf

from mirrorgan_tf.models.batch_norm import BatchNormalization
from mirrorgan_tf.models.blocks import GLU, UpBlock, gate_openings
from mirrorgan_tf.models.convolution import Conv2D
from mirrorgan_tf.models.discriminators import ConvBlock
from mirrorgan_tf.training.convolution_kernels import convolved, upsampled

__all__ = ["use_kernels"]


def use_kernels(*models: keras.Model, compiled: bool = False) -> None:
    """Sets kernels where the models' layers leave room for them.

    One does images' batch norms in training, in a quarter of the time. It knows nothing
    of replicas: under several, batch norms stay as they are. Call inside the strategy's
    scope.

    Args:
        models: whose layers.
        compiled: by XLA, which is slow at those convolutions that oneDNN is fast at.
    """
    alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    by_one_dnn = not compiled and not tf.config.list_physical_devices("GPU")
    for model in models:
        for layer in model._flatten_layers():
            if isinstance(layer, BatchNormalization) and alone:
                layer.fused = _normalize
            if isinstance(layer, Conv2D) and by_one_dnn:
                layer.convolved = convolved
            if isinstance(layer, UpBlock) and by_one_dnn:
                layer.upsampled = upsampled
            if isinstance(layer, ConvBlock):
                layer.leaky_relu = _leaky_relu
            if isinstance(layer, GLU):
                layer.gated = _gated


def _normalize(x, scale, offset, epsilon):
    """(B, h, w, C), or several such, to the same, means and variances.

    Returns None for what the kernel does not take.
    """
    if len(x.shape) != 4 or x.dtype == tf.float64:
        return None
    moments = []

    # TensorFlow's own gradient first makes zeros for each of six outputs.
    @tf.custom_gradient
    def run(x, scale, offset):
        y, mean, variance, *saved = tf.raw_ops.FusedBatchNormV3(
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
                reserve_space_1=saved[0],
                reserve_space_2=saved[1],
                reserve_space_3=saved[2],
                epsilon=epsilon,
                is_training=True,
            )[:3]

        return y, gradient

    y = run(x, tf.convert_to_tensor(scale), tf.convert_to_tensor(offset))
    mean, variance = moments
    positions = x.shape[:-1].num_elements()
    if positions is None:
        positions = tf.cast(tf.size(x) / tf.shape(x)[-1], variance.dtype)
    # The kernel gives the unbiased estimate.
    return y, mean, variance * ((positions - 1) / positions)


def _leaky_relu(x, slope):
    """With a gradient from the result, which has x's sign and is kept anyway."""

    @tf.custom_gradient
    def run(x):
        y = tf.nn.leaky_relu(x, slope)
        return y, lambda upstream: tf.raw_ops.LeakyReluGrad(
            gradients=upstream, features=y, alpha=slope
        )

    return run(x)


@tf.custom_gradient
def _gated(values, gates):
    """With a gradient from the result, which is kept anyway, in the values' place."""
    openings = gate_openings(gates)
    result = values * openings

    def gradient(upstream):
        of_values = upstream * openings
        # The sigmoid's slope is openings · (1 - openings).
        return of_values, (upstream - of_values) * result

    return result, gradient
