"""Adversarial losses from logits: binary cross entropy, and hinge."""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "adversarial_loss",
    "discriminator_losses",
    "fake_loss",
    "generator_feature_losses",
    "generator_image_losses",
    "real_loss",
]


def real_loss(logits):
    """-log sigmoid(logit), the cross entropy of logits (B,) with "real": (B,) nats."""
    return ops.softplus(-logits)


def fake_loss(logits):
    """-log(1 - sigmoid(logit)), the cross entropy of logits (B,) with "fake"."""
    return ops.softplus(logits)


class AdversarialLoss(NamedTuple):
    """Three functions of logits (B,), each giving (B,).

    `real` and `fake` are a discriminator's losses for real and for other images,
    `generator` is the generator's loss for its own.
    """

    real: Callable
    fake: Callable
    generator: Callable


# The values of --adversarial_loss. Hinge: Lim and Ye, Geometric GAN (2017).
ADVERSARIAL_LOSSES = {
    "cross_entropy": AdversarialLoss(real_loss, fake_loss, real_loss),
    "hinge": AdversarialLoss(
        real=lambda logits: ops.relu(1.0 - logits),
        fake=lambda logits: ops.relu(1.0 + logits),
        generator=lambda logits: -logits,
    ),
}


def adversarial_loss(
    discriminator, inputs, sentence, *, mean, training, kind="cross_entropy"
):
    """The generator's loss against one discriminator: the sum of both heads' means.

    Args:
        discriminator: with `features`, `unconditional` and `conditional`.
        inputs: generated images (B, s, s, 3) in [-1, 1], or their feature maps.
        sentence: (B, D), the sentence embedding, not the condition s_ca.
        mean: values to this replica's share of their mean.
        training: whether to use the statistics of the batch.
        kind: of ADVERSARIAL_LOSSES.
    """
    loss = ADVERSARIAL_LOSSES[kind].generator
    features = discriminator.features(inputs, training=training)
    unconditional = discriminator.unconditional(features, training=training)
    conditional = discriminator.conditional(features, sentence, training=training)
    return mean(loss(unconditional)) + mean(loss(conditional))


def generator_image_losses(inputs):
    """Loss term: against the discriminator of each scale."""
    return _generator_losses(inputs, inputs.image_scores)


def generator_feature_losses(inputs):
    """Loss term: against the discriminators of feature maps, means over the maps."""
    return _generator_losses(inputs, inputs.feature_scores)


def _generator_losses(inputs, scored):
    return {
        f"adversarial_{images.name}": adversarial_loss(
            images.discriminator,
            images.inputs,
            inputs.sentence,
            mean=inputs.mean,
            training=inputs.training,
            kind=inputs.settings.adversarial_loss,
        )
        for images in scored
    }


def discriminator_losses(inputs):
    """Loss term: errD of one discriminator.

    errD = (real + real_matching) / 2 + (fake + fake_matching + real_mismatching) / 3.

    Source: the authors' code; the paper (eq. 7) has no mismatching pairs.
    """
    loss = ADVERSARIAL_LOSSES[inputs.settings.adversarial_loss]
    mean = inputs.mean
    real = mean(loss.real(inputs.real)) + mean(loss.real(inputs.real_matching))
    fake = (
        mean(loss.fake(inputs.fake))
        + mean(loss.fake(inputs.fake_matching))
        + mean(loss.fake(inputs.real_mismatching), inputs.mismatching_weights)
    )
    return {"discriminator": real / 2 + fake / 3}
