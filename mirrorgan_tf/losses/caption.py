"""How well a caption is read back."""

from keras import ops

__all__ = ["caption_cross_entropy", "straight_through_words"]


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


def straight_through_words(logits, draws):
    """Words drawn from what the decoder says, with a gradient.

    Args:
        logits: (B, L, V).
        draws: like `logits`, uniform in [0, 1).

    Returns:
        (B, L, V): each row is 1 at the word drawn, else 0; the gradient is that of
        the softmax of the logits with the same Gumbel noise.

    Source: Jang et al., Categorical Reparameterization with Gumbel-Softmax (2017),
    temperature 1.
    """
    noisy = logits - ops.log(-ops.log(ops.cast(draws, logits.dtype)))
    soft = ops.softmax(noisy, axis=-1)
    hard = ops.one_hot(ops.argmax(noisy, axis=-1), logits.shape[-1], dtype=logits.dtype)
    return hard + soft - ops.stop_gradient(soft)
