"""Penalties on the gradient of a discriminator at real images."""

from keras import ops

from mirrorgan_tf.models.blocks import full_precision

__all__ = ["r1_losses", "r1_penalty"]


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


def r1_losses(inputs):
    """Loss term: R1 of both heads, at real images with their own sentences.

    Under batch statistics an image changes the others' logits too: the gradient is
    that of the batch's sum.
    """
    penalties = [
        r1_penalty(inputs.image_gradient(logits))
        for logits in (inputs.real, inputs.real_matching)
    ]
    return {"r1": inputs.mean(sum(penalties))}


def _squared_norm(values):
    """(B, ...), or a list of such, to (B,)."""
    if isinstance(values, (list, tuple)):
        return sum(_squared_norm(part) for part in values)
    values = full_precision(values)
    return ops.sum(ops.square(values), axis=tuple(range(1, len(values.shape))))
