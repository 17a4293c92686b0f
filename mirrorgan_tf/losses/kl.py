"""Kullback-Leibler divergence of the caption condition from N(0, I)."""

from keras import ops

__all__ = ["condition_losses", "kl_to_standard_normal"]


def kl_to_standard_normal(mu, log_var):
    """Kullback-Leibler divergence of N(mu, exp(log_var)) from N(0, 1).

    A mean over features, so that its weight does not depend on their number.

    Args:
        mu: (B, C), means.
        log_var: (B, C), natural log of the variances.

    Returns:
        (B,) nats a feature; 0 where mu = log_var = 0.

    Raises:
        ValueError: the shapes differ.

    Source: the authors' code.
    """
    if tuple(mu.shape) != tuple(log_var.shape):
        raise ValueError(f"log_var.shape={log_var.shape}; expected mu's, {mu.shape}")
    return -0.5 * ops.mean(1.0 + log_var - ops.square(mu) - ops.exp(log_var), axis=-1)


def condition_losses(inputs):
    """Loss term: of the generator's condition s_ca."""
    return {"kl": inputs.mean(kl_to_standard_normal(inputs.mu, inputs.log_var))}
