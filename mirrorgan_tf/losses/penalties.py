"""Penalties on how steeply a discriminator rises at real images."""

from keras import ops

from mirrorgan_tf.models.blocks import full_precision

__all__ = ["matching_penalty", "r1_penalty"]


def r1_penalty(image_gradient):
    """Half the squared norm of a logit's gradient.

    Args:
        image_gradient: (B, H, W, C), of an image's logit with respect to the image; or
            a list of such, with respect to each of its feature maps.

    Returns:
        (B,), at least 0.

    Source: Mescheder et al., Which Training Methods for GANs do actually Converge?
    (2018), eq. 9; gamma is the caller's.
    """
    return 0.5 * _squared_norm(image_gradient)


def matching_penalty(image_gradient, sentence_gradient, power: float = 6.0):
    """Matching-aware gradient penalty: a power of the norm of a joint gradient.

    Args:
        image_gradient: (B, H, W, C), of the conditional logit of a real image and its
            own sentence with respect to the image; or a list as for `r1_penalty`.
        sentence_gradient: (B, D), of the same with respect to the sentence.
        power: p, at least 2, so that it is smooth at 0.

    Returns:
        (B,), at least 0.

    Source: Tao et al., DF-GAN (2022), section 3.3, with its code's norm, that of both
    gradients as one vector; the paper's eq. 2 adds two norms.
    """
    squared = _squared_norm(image_gradient) + _squared_norm(sentence_gradient)
    return ops.power(squared, power / 2)


def _squared_norm(values):
    """(B, ...), or a list of such, to (B,)."""
    if isinstance(values, (list, tuple)):
        return sum(_squared_norm(part) for part in values)
    values = full_precision(values)
    return ops.sum(ops.square(values), axis=tuple(range(1, len(values.shape))))
