"""Adversarial losses from logits: binary cross entropy, and hinge."""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

__all__ = ["ADVERSARIAL_LOSSES", "AdversarialLoss", "fake_loss", "real_loss"]


def real_loss(logits):
    """Surprise of logits (B,) at "real", -log sigmoid(logit): (B,) nats."""
    return ops.softplus(-logits)


def fake_loss(logits):
    """Surprise of logits (B,) at "fake", -log(1 - sigmoid(logit)): (B,) nats."""
    return ops.softplus(logits)


class AdversarialLoss(NamedTuple):
    """Three functions of logits (B,), each giving (B,).

    `real` and `fake` are what a discriminator pays for real and for other images,
    `generator` what the generator pays for its own.
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
