"""How the learning rates fall."""

import keras

from mirrorgan_tf.config import Config

__all__ = ["glam_learning_rate", "learning_rate"]


def glam_learning_rate(
    config: Config, rate: float
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of stage glam: constant, or along half a cosine from `rate` to 0."""
    if config.glam.schedule == "constant":
        return rate
    return keras.optimizers.schedules.CosineDecay(rate, config.glam.steps)


def learning_rate(
    config: Config, stage: str
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a stage: in steps (paper), or along half a cosine to 0.

    Args:
        config: for the stage's rate, and how it falls.
        stage: backbone (always a cosine), stem or stream.
    """
    rate = config.stage(stage).learning_rate
    if stage == "backbone" or config.stage(stage).schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, config.stage(stage).steps)
    return keras.optimizers.schedules.ExponentialDecay(
        rate,
        config.stage(stage).decay_steps,
        config.stage(stage).decay,
        staircase=True,
    )
