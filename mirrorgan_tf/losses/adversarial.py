"""Adversarial losses: binary cross entropy from logits."""

from keras import ops

__all__ = ["fake_loss", "real_loss"]


def real_loss(logits):
    """Surprise of logits (B,) at "real", -log sigmoid(logit): (B,) nats."""
    return ops.softplus(-logits)


def fake_loss(logits):
    """Surprise of logits (B,) at "fake", -log(1 - sigmoid(logit)): (B,) nats."""
    return ops.softplus(logits)
