"""Exponential moving average of a model's weights, kept as a second model."""

import keras
import tensorflow as tf

__all__ = ["start_average", "update_average"]


def start_average(average: keras.Model, model: keras.Model) -> None:
    """Makes the average equal to the model."""
    average.set_weights(model.get_weights())


def update_average(
    average: keras.Model,
    model: keras.Model,
    *,
    decay: float,
    step: tf.Tensor,
    warm_up: bool = False,
) -> None:
    """Moves the average one step towards the model (cross-replica context).

    Batch-norm statistics are averaged too, so that they belong to the averaged
    weights (the authors' code takes the raw model's).

    Args:
        average: built like `model`.
        model: after its update.
        decay: in [0, 1]; 0.999 in the authors' code.
        step: scalar integer, updates before this one.
        warm_up: begin with a decay of (1 + step) / (10 + step): else the random start
            lingers, which a short training has no time to forget.
    """
    decay = tf.constant(decay, tf.float32)
    if warm_up:
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
    share = 1.0 - decay
    for mean, value in zip(average.variables, model.variables, strict=True):
        mean = mean.value
        mean.assign_sub((mean - value.value) * tf.cast(share, mean.dtype))
