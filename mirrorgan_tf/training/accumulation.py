"""A step in micro-batches, for batches whose activations do not fit into memory."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = ["accumulate", "micro_batches"]


def micro_batches(values: Any, count: int) -> list[Any]:
    """Splits nested tensors (B, ...) into `count` micro-batches (B / count, ...).

    Micro-batch j has every count-th row from j on, so that micro-batches j of all
    replicas together are the same, however the global batch is split.
    """
    return [
        tf.nest.map_structure(lambda tensor, j=j: tensor[j::count], values)
        for j in range(count)
    ]


def accumulate(
    parts: list[Any],
    gradients_of: Callable[[Any], tuple[dict[str, tf.Tensor], list]],
) -> tuple[dict[str, tf.Tensor], list]:
    """Means over micro-batches, which run one after the other.

    The variables that forward passes assign (moving averages of batch norms, directions
    of spectral norms) are averaged too: every micro-batch starts from the values before
    the step, and each variable gets the mean of its values after the micro-batches. So
    a moving average forgets as much per step as without micro-batches: m becomes
    momentum · m + (1 - momentum) · mean of the micro-batches' moments.

    Args:
        parts: the micro-batches.
        gradients_of: function of a micro-batch that returns its losses and (nested)
            gradients. The only variables it may assign are Keras variables.

    Returns:
        Losses and gradients. A mean over words becomes a mean of means.
    """
    if len(parts) == 1:
        return gradients_of(parts[0])
    sums = None
    for part in parts:
        # Run micro-batches one after the other. TensorFlow would otherwise run them all
        # at once and keep all their activations.
        with (
            tf.control_dependencies(tf.nest.flatten(sums) if sums else []),
            _CollectedUpdates() as updates,
        ):
            losses, gradients = gradients_of(tf.nest.map_structure(tf.identity, part))
        terms = tf.nest.map_structure(
            tf.convert_to_tensor, (losses, gradients, updates.values)
        )
        sums = tf.nest.map_structure(tf.add, sums, terms) if sums else terms
    losses, gradients, values = tf.nest.map_structure(
        lambda total: total / len(parts), sums
    )
    for variable, value in zip(updates.variables, values, strict=True):
        variable.assign(value)
    return losses, gradients


class _CollectedUpdates(keras.StatelessScope):
    """Collects assignments to variables; reads in the scope return the new values."""

    def __init__(self):
        # Variables that other code left uninitialised stay so.
        super().__init__(initialize_variables=False)
        self._variables = {}

    def add_update(self, update):
        """Called by Keras in place of an assignment."""
        variable, _ = update
        self._variables[id(variable)] = variable
        super().add_update(update)

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that were assigned, in order."""
        return list(self._variables.values())

    @property
    def values(self) -> list[tf.Tensor]:
        """The newest value of each."""
        return [self.get_current_value(variable) for variable in self.variables]
