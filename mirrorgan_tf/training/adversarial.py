"""The passes and the loss of one discriminator."""

import contextlib

import tensorflow as tf

from mirrorgan_tf.config.groups import LossSettings
from mirrorgan_tf.losses.registry import DISCRIMINATOR_LOSS
from mirrorgan_tf.losses.terms import DiscriminatorLossInputs, sum_terms
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.feature_discriminator import FeatureDiscriminator
from mirrorgan_tf.training.distribution import global_mean

__all__ = ["discriminator_loss"]


def discriminator_loss(
    discriminator: Discriminator | FeatureDiscriminator,
    real: tf.Tensor | list[tf.Tensor],
    fake: tf.Tensor | list[tf.Tensor],
    sentence: tf.Tensor,
    next_sentence: tf.Tensor,
    next_weights: tf.Tensor,
    *,
    settings: LossSettings,
    training: bool,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """This replica's shares of one discriminator's losses, and the weighted sum.

    Args:
        discriminator: of this scale.
        real: (B, s, s, 3) in [-1, 1]; or their feature maps.
        fake: like `real`.
        sentence: (B, D), the sentence embedding, not the condition s_ca.
        next_sentence: (B, D), of the next image of the batch.
        next_weights: (B,), 0 where there is no next image.
        settings: forms and weights of the losses.
        training: whether to use the statistics of the batch.

    Returns:
        The losses of `DISCRIMINATOR_LOSS` by name, without their weights, and their
        weighted sum.
    """
    record = any(
        term.uses_image_gradient and term.weight(settings)
        for term in DISCRIMINATOR_LOSS
    )
    with _watch(real) if record else contextlib.nullcontext() as tape:
        features = discriminator.features(
            tf.nest.map_structure(lambda *pair: tf.concat(pair, 0), real, fake),
            batches=2,
            training=training,
        )
        real_logits, fake_logits = tf.split(
            discriminator.unconditional(features, training=training), 2
        )
        real_matching, fake_matching, real_mismatching = tf.split(
            discriminator.conditional(
                features,
                tf.concat([sentence, sentence, next_sentence], 0),
                batches=3,
                training=training,
            ),
            3,
        )
    # (B,) to (B, maps), where a discriminator has logits for several maps.
    more_axes = [1] * (len(real_mismatching.shape) - 1)
    weights = tf.broadcast_to(
        tf.reshape(next_weights, [-1, *more_axes]), tf.shape(real_mismatching)
    )
    inputs = DiscriminatorLossInputs(
        settings=settings,
        real=real_logits,
        fake=fake_logits,
        real_matching=real_matching,
        fake_matching=fake_matching,
        real_mismatching=real_mismatching,
        mismatching_weights=weights,
        image_gradient=lambda logits: tape.gradient(logits, real),
        mean=global_mean,
    )
    return sum_terms(DISCRIMINATOR_LOSS, inputs)


@contextlib.contextmanager
def _watch(values):
    """A tape for several gradients with respect to `values`."""
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(values)
        yield tape
