"""Penalties on the gradient of a discriminator at real images."""

from keras import ops

from mirrorgan_tf.models.blocks import full_precision

__all__ = ["r1_penalty"]


def r1_penalty(image_gradient):
    """Half the squared norm of a logit's gradient.

    Args:
        image_gradient: (B, H, W, C), gradient of each image's logit with respect to the
            image; or a list of gradients with respect to each of its feature maps.

    Returns:
        (B,), at least 0.

    Source: Mescheder et al., Which Training Methods for GANs do actually Converge?
    (2018), eq. 9, without the weight gamma.
    """
    return 0.5 * _squared_norm(image_gradient)


def _squared_norm(values):
    """(B, ...), or a list of tensors (B, ...), to (B,)."""
    if isinstance(values, (list, tuple)):
        return sum(_squared_norm(part) for part in values)
    values = full_precision(values)
    return ops.sum(ops.square(values), axis=tuple(range(1, len(values.shape))))
