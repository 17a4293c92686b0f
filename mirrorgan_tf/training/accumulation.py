"""A step in micro-batches, for batches whose activations do not fit into memory."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["accumulate", "micro_batches"]


def micro_batches(values: Any, count: int) -> list[Any]:
    """Nested tensors (B, ...) to `count` of them, (B / count, ...) each.

    Micro-batch j has every count-th row from j on, so that those of all replicas
    together are the same however the global batch is split.
    """
    return [
        tf.nest.map_structure(lambda tensor, j=j: tensor[j::count], values)
        for j in range(count)
    ]


def accumulate(
    parts: list[Any],
    gradients_of: Callable[[Any], tuple[dict[str, tf.Tensor], list]],
) -> tuple[dict[str, tf.Tensor], list]:
    """Means over micro-batches, which are worked through one after the other.

    Args:
        parts: the micro-batches.
        gradients_of: a micro-batch to its losses and (nested) gradients.

    Returns:
        Losses and gradients; of means over words they are means of means.
    """
    if len(parts) == 1:
        return gradients_of(parts[0])
    sums = None
    for part in parts:
        # Else all would be worked through, and kept, at the same time.
        with tf.control_dependencies(tf.nest.flatten(sums) if sums else []):
            losses, gradients = gradients_of(tf.nest.map_structure(tf.identity, part))
            terms = tf.nest.map_structure(tf.convert_to_tensor, (losses, gradients))
            sums = tf.nest.map_structure(tf.add, sums, terms) if sums else terms
    return tf.nest.map_structure(lambda total: total / len(parts), sums)
