"""The weights of a served model, exact or quantised to eight bits."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

__all__ = ["StoredWeights"]

_LARGEST_INT8 = 127


class StoredWeights(tf.Module):
    """A copy of the variables of Keras models, which replaces them in a served graph.

    With quantize "int8", each kernel (a variable of two or more axes) is stored as
    integers and one step size per output channel. Biases and statistics, which are
    small, are stored exactly.

    Args:
        models: built models.
        quantize: "none" or "int8".
    """

    def __init__(self, models: Sequence[keras.Model], quantize: str = "none") -> None:
        super().__init__(name="stored_weights")
        variables = [variable for model in models for variable in model.variables]
        # A function, since tf.Module would track a list of variables and save them too.
        self._replaced_variables = lambda: variables
        self._stored = [
            _Quantized(variable.value)
            if quantize == "int8" and _is_kernel(variable)
            else tf.Variable(variable.value, trainable=False)
            for variable in variables
        ]

    def read(self) -> list[tf.Tensor]:
        """Returns the weights in the order and dtypes of the models' variables."""
        return [
            stored.read() if isinstance(stored, _Quantized) else stored.read_value()
            for stored in self._stored
        ]

    def in_use(self) -> contextlib.AbstractContextManager:
        """Context for tracing, in which the models' layers use the stored weights."""
        return keras.StatelessScope(
            state_mapping=list(
                zip(self._replaced_variables(), self.read(), strict=True)
            ),
            initialize_variables=False,
        )


class _Quantized(tf.Module):
    """A kernel (.., channels) as int8 steps and a step size per channel."""

    def __init__(self, kernel):
        super().__init__()
        self._dtype = kernel.dtype
        kernel = tf.cast(kernel, tf.float32)
        largest = tf.reduce_max(tf.abs(kernel), axis=list(range(kernel.shape.rank - 1)))
        # For a channel of zeros, a step of 1 avoids a division by 0.
        step = tf.where(largest > 0, largest / _LARGEST_INT8, 1.0)
        self._steps = tf.Variable(
            tf.cast(tf.round(kernel / step), tf.int8), trainable=False
        )
        self._step = tf.Variable(step, trainable=False)

    def read(self):
        kernel = tf.cast(self._steps, tf.float32) * self._step
        return tf.cast(kernel, self._dtype)


def _is_kernel(variable):
    return len(variable.shape) > 1 and "float" in str(variable.dtype)
