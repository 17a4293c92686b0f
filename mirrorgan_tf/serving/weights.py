"""How a served model keeps its weights: as they are, or in eight bits."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

__all__ = ["StoredWeights"]

_STEPS = 127


class StoredWeights(tf.Module):
    """A copy of Keras models' variables, to be read while the models are called.

    The variables themselves stay out of the graph. With quantize "int8" a kernel, of
    two or more dimensions, is stored as whole steps of a size of its own for each
    output channel; biases and statistics are few and stay as they are.

    Args:
        models: built.
        quantize: None or "int8".

    Raises:
        ValueError: `quantize` is something else.
    """

    def __init__(
        self, models: Sequence[keras.Model], quantize: str | None = None
    ) -> None:
        super().__init__(name="stored_weights")
        if quantize not in (None, "int8"):
            raise ValueError(f"quantize={quantize!r}; expected None or 'int8'")
        variables = [variable for model in models for variable in model.variables]
        # Behind a function they are not tracked, and so not saved a second time.
        self._replaced = lambda: variables
        self._stored = [
            _Quantized(variable.value)
            if quantize and _is_kernel(variable)
            else tf.Variable(variable.value, trainable=False)
            for variable in variables
        ]

    def read(self) -> list[tf.Tensor]:
        """The weights in the order of the models' variables, in their dtypes."""
        return [
            stored.read() if isinstance(stored, _Quantized) else stored.read_value()
            for stored in self._stored
        ]

    def in_use(self) -> contextlib.AbstractContextManager:
        """Within it, and in one trace, the models' layers use what is stored here."""
        return keras.StatelessScope(
            state_mapping=list(zip(self._replaced(), self.read(), strict=True)),
            initialize_variables=False,
        )


class _Quantized(tf.Module):
    """A kernel (.., channels) as int8 steps and a step size a channel."""

    def __init__(self, kernel):
        super().__init__()
        self._dtype = kernel.dtype
        kernel = tf.cast(kernel, tf.float32)
        largest = tf.reduce_max(tf.abs(kernel), axis=list(range(kernel.shape.rank - 1)))
        # Zeros all through: any step will do.
        step = tf.where(largest > 0, largest / _STEPS, 1.0)
        self._steps = tf.Variable(
            tf.cast(tf.round(kernel / step), tf.int8), trainable=False
        )
        self._step = tf.Variable(step, trainable=False)

    def read(self):
        kernel = tf.cast(self._steps, tf.float32) * self._step
        return tf.cast(kernel, self._dtype)


def _is_kernel(variable):
    return len(variable.shape) > 1 and "float" in str(variable.dtype)
