"""All captions that a batch has of its images (`--stem_captions`, ..)."""

import tensorflow as tf

__all__ = ["all_captions", "captions_each"]


def captions_each(batch: dict) -> int:
    """k, the captions of an image in this batch."""
    return 1 + (batch["more_ids"].shape[1] if "more_ids" in batch else 0)


def all_captions(batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """The captions of one image after those of the other.

    Args:
        batch: of B images, from the pipeline.

    Returns:
        ids (B · k, L) and lengths (B · k,) int32; row i · k is the first of image i.
    """
    ids, lengths = batch["ids"], batch["lengths"]
    if captions_each(batch) == 1:
        return ids, lengths
    ids = tf.concat([ids[:, None], batch["more_ids"]], axis=1)
    lengths = tf.concat([lengths[:, None], batch["more_lengths"]], axis=1)
    return tf.reshape(ids, [-1, ids.shape[-1]]), tf.reshape(lengths, [-1])
