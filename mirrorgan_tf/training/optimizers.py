"""The optimizers of all stages: their kind, rates, schedules and clipping."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras.optimizers import schedules

from mirrorgan_tf.config import Config
from mirrorgan_tf.ops.adam import Adam

__all__ = ["clip_gradients", "learning_rate", "make_optimizer"]

Rate = float | schedules.LearningRateSchedule


def make_optimizer(
    config: Config, network: str, variables: Sequence[keras.Variable]
) -> keras.optimizers.Optimizer:
    """The optimizer of one network, built for its variables.

    Args:
        config: of the run.
        network: backbone, stem (both encoders), stream, generator or discriminator.
        variables: what it will update.
    """
    rate = learning_rate(config, network)
    match network:
        case "generator" | "discriminator":
            beta_1 = config.glam.adam_beta1
        case "stem":
            beta_1 = 0.5
        case _:
            beta_1 = 0.9
    optimizer = Adam(rate, beta_1=beta_1)
    optimizer.build(variables)
    return optimizer


def learning_rate(config: Config, network: str) -> Rate:
    """The rate of `make_optimizer`, or how it falls: in steps, or on a half cosine."""
    match network:
        case "generator":
            rate, stage = config.glam.generator_learning_rate, config.glam
        case "discriminator":
            rate, stage = config.glam.discriminator_learning_rate, config.glam
        case _:
            stage = config.stage(network)
            rate = stage.learning_rate
    if network == "backbone" or stage.schedule == "cosine":
        return schedules.CosineDecay(rate, stage.steps)
    if stage.schedule == "constant":
        return rate
    return schedules.ExponentialDecay(
        rate, stage.decay_steps, stage.decay, staircase=True
    )


def clip_gradients(
    gradients: list[tf.Tensor], norm: float
) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
    """Clips the gradient of the global batch to a norm.

    Args:
        gradients: of this replica.
        norm: the largest; 0: none, and nothing is computed. Clipping costs a sum over
            the replicas.

    Returns:
        Gradients for an optimizer, which sums them over the replicas, and this
        replica's share of the `gradient_norm` before clipping.
    """
    if not norm:
        return gradients, {}
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    total = tf.linalg.global_norm(gradients)
    scale = tf.minimum(tf.ones_like(total), norm / tf.maximum(total, 1e-12))
    clipped = [gradient * (scale / replicas) for gradient in gradients]
    return clipped, {"gradient_norm": total / replicas}
