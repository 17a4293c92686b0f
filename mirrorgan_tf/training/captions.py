"""The captions of a batch: k of each image, for the text encoder and for STREAM."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["all_captions", "captions_per_image", "first_captions", "with_encoder_text"]


def with_encoder_text(batch: dict, text_inputs: Callable[..., dict]) -> dict:
    """The batch with `text`, what the text encoder takes, and without strings.

    Strings cannot go to a GPU.

    Args:
        batch: of the data pipeline: `captions` (B, k) string, `caption_ids` (B, k, L)
            and `caption_lengths` (B, k), and others.
        text_inputs: the text encoder's, see `TextEncoder.text_inputs`.

    Returns:
        The batch without `captions`; `text` holds tensors (B, k, ...) by name.
    """
    batch = dict(batch)
    captions = batch.pop("captions")
    text = text_inputs(
        *map(all_captions, (captions, batch["caption_ids"], batch["caption_lengths"]))
    )
    rows, count = (-1 if size is None else size for size in captions.shape)
    return batch | {
        "text": tf.nest.map_structure(
            lambda values: tf.reshape(values, [rows, count, *values.shape[1:]]), text
        )
    }


def captions_per_image(batch: dict) -> int:
    """k, the captions of an image in this batch."""
    return batch["caption_ids"].shape[1]


def first_captions(values: Any) -> Any:
    """(Nested) tensors (B, k, ...) to (B, ...), of the first caption of each image."""
    return tf.nest.map_structure(lambda value: value[:, 0], values)


def all_captions(values: Any) -> Any:
    """(Nested) tensors (B, k, ...) to (B · k, ...), an image's captions together."""
    return tf.nest.map_structure(
        lambda value: tf.reshape(value, [-1, *value.shape[2:]]), values
    )
