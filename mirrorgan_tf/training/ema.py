"""Exponential moving average of a model's weights, kept as a second model."""

import keras
import tensorflow as tf

__all__ = ["update_average"]


def update_average(
    average: keras.Model,
    model: keras.Model,
    *,
    decay: float,
    step: tf.Tensor,
    warm_up: bool = False,
) -> None:
    """Updates the average after a step of the model, in cross-replica context.

    Batch-norm statistics are averaged too, to match the averaged weights (the authors'
    code uses those of the raw model).

    Args:
        average: built like `model`.
        model: after its update.
        decay: in [0, 1]; 0.999 in the authors' code.
        step: scalar integer, updates before this one.
        warm_up: begin with a decay of (1 + step) / (10 + step), so that a short
            training forgets its random initial weights.
    """
    decay = tf.constant(decay, tf.float32)
    if warm_up:
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
    share = 1.0 - decay
    for mean, value in zip(average.variables, model.variables, strict=True):
        mean = mean.value
        mean.assign_sub((mean - value.value) * tf.cast(share, mean.dtype))
