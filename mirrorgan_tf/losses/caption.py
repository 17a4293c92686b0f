"""How well a caption is read back."""

from keras import ops

__all__ = ["caption_cross_entropy"]


def caption_cross_entropy(logits, ids):
    """Surprise of the decoder at each word.

    Args:
        logits: (B, L, V) of word 1 .. word L.
        ids: (B, L) integers below V; all positions are scored, so that the caller
            weighs them (MirrorGAN: the mean over the true words of the batch).

    Returns:
        (B, L) nats.

    Source: MirrorGAN, eq. 10.
    """
    return ops.sparse_categorical_crossentropy(
        ops.cast(ids, "int32"), logits, from_logits=True
    )
