"""Losses of one discriminator, and of the generator against it."""

import contextlib

import tensorflow as tf

from mirrorgan_tf.losses.adversarial import ADVERSARIAL_LOSSES
from mirrorgan_tf.losses.penalties import r1_penalty
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.feature_discriminator import FeatureDiscriminator
from mirrorgan_tf.training.distribution import global_mean

__all__ = ["adversarial_loss", "discriminator_loss"]


def adversarial_loss(
    discriminator: Discriminator | FeatureDiscriminator,
    inputs: tf.Tensor | list[tf.Tensor],
    sentence: tf.Tensor,
    *,
    training: bool,
    kind: str = "cross_entropy",
) -> tf.Tensor:
    """This replica's share of the generator's loss against one discriminator.

    The sum of both heads' losses, each a mean (over the maps too, for a
    `FeatureDiscriminator`).

    Args:
        discriminator: of this scale.
        inputs: (B, s, s, 3) in [-1, 1], generated; or their feature maps.
        sentence: (B, D), the condition: the sentence embedding, not s_ca.
        training: batch statistics.
        kind: of ADVERSARIAL_LOSSES.
    """
    cost = ADVERSARIAL_LOSSES[kind].generator
    features = discriminator.features(inputs, training=training)
    alone = discriminator.unconditional(features, training=training)
    joint = discriminator.conditional(features, sentence, training=training)
    return global_mean(cost(alone)) + global_mean(cost(joint))


def discriminator_loss(
    discriminator: Discriminator | FeatureDiscriminator,
    real: tf.Tensor | list[tf.Tensor],
    fake: tf.Tensor | list[tf.Tensor],
    sentence: tf.Tensor,
    wrong_sentence: tf.Tensor,
    wrong_weights: tf.Tensor,
    *,
    training: bool,
    kind: str = "cross_entropy",
    r1_weight: float = 0.0,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """This replica's shares of one errD and of its penalty, and the sum.

    errD = (real_u + real_c) / 2 + (fake_u + fake_c + wrong_c) / 3, each a mean, in
    nats where it is of cross entropies; `wrong` is a real image with another image's
    sentence. What is penalised is the gradient at real images with their own
    sentences. Under batch statistics an image moves the others' logits too: the
    gradient is that of the batch's sum.

    Args:
        discriminator: of this scale.
        real: (B, s, s, 3) in [-1, 1]; or their feature maps.
        fake: like `real`.
        sentence: (B, D), the condition: the sentence embedding, not s_ca.
        wrong_sentence: (B, D).
        wrong_weights: (B,), 0 where there is no wrong sentence.
        training: batch statistics.
        kind: of ADVERSARIAL_LOSSES.
        r1_weight: gamma of R1, on both heads; 0: none.

    Returns:
        Losses without their weights, errD named "discriminator", and their weighted
        sum.

    Source: the authors' code; the paper (eq. 7) has no wrong pairs.
    """
    cost = ADVERSARIAL_LOSSES[kind]
    with _watching(real, r1_weight) as tape:
        features = discriminator.features(
            tf.nest.map_structure(lambda *pair: tf.concat(pair, 0), real, fake),
            batches=2,
            training=training,
        )
        real_alone, fake_alone = tf.split(
            discriminator.unconditional(features, training=training), 2
        )
        real_joint, fake_joint, wrong_joint = tf.split(
            discriminator.conditional(
                features,
                tf.concat([sentence, sentence, wrong_sentence], 0),
                batches=3,
                training=training,
            ),
            3,
        )
    real_mean = global_mean(cost.real(real_alone)) + global_mean(cost.real(real_joint))
    # (B,) or, where a discriminator judges several maps, (B, maps).
    wrong_weights = tf.reshape(wrong_weights, [-1] + [1] * (len(wrong_joint.shape) - 1))
    wrong_weights = tf.broadcast_to(wrong_weights, tf.shape(wrong_joint))
    fake_mean = (
        global_mean(cost.fake(fake_alone))
        + global_mean(cost.fake(fake_joint))
        + global_mean(cost.fake(wrong_joint), wrong_weights)
    )
    total = real_mean / 2 + fake_mean / 3
    losses = {"discriminator": total}
    if r1_weight:
        losses["r1"] = global_mean(
            r1_penalty(tape.gradient(real_alone, real))
            + r1_penalty(tape.gradient(real_joint, real))
        )
        total += r1_weight * losses["r1"]
    return losses, total


@contextlib.contextmanager
def _watching(values, wanted):
    """A tape for several gradients with respect to `values`, or none."""
    if not wanted:
        yield None
        return
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(values)
        yield tape
