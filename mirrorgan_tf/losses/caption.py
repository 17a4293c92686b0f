"""Cross entropy of captions: how well STREAM reads an image."""

from keras import ops

__all__ = [
    "append_end",
    "caption_cross_entropy",
    "mean_word_loss",
    "redescription_losses",
]


def caption_cross_entropy(logits, ids):
    """Cross entropy of each word.

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


def mean_word_loss(logits, ids, lengths, *, mean):
    """Cross entropy of captions, the mean over the true words of the batch.

    Args:
        logits: (B, L, V).
        ids: (B, L) integers.
        lengths: (B,) integers, words of each caption.
        mean: values and weights to this replica's share of the weighted mean.

    Returns:
        Scalar in nats per word.
    """
    cross_entropy = caption_cross_entropy(logits, ids)
    true_words = ops.arange(ids.shape[1], dtype=lengths.dtype) < lengths[:, None]
    return mean(cross_entropy, ops.cast(true_words, cross_entropy.dtype))


def append_end(ids, lengths):
    """Captions with the end, id 0, after the last word, so that readings end.

    Args:
        ids: (B, L) integers, 0 past each caption's end.
        lengths: (B,) integers.

    Returns:
        (B, L + 1) and (B,).
    """
    return ops.pad(ids, [[0, 0], [0, 1]]), lengths + 1


def redescription_losses(inputs):
    """Loss term: STREAM reads the caption from the last image, or from all."""
    last_only = inputs.settings.redescribe == "last"
    images = inputs.images[-1:] if last_only else inputs.images
    losses = [
        mean_word_loss(
            inputs.caption_logits(images_at_scale),
            inputs.caption_ids,
            inputs.caption_lengths,
            mean=inputs.mean,
        )
        for images_at_scale in images
    ]
    return {"redescription": sum(losses) / len(losses)}
