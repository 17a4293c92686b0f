"""Adam whose update is one pass over memory."""

import types

import keras
import tensorflow as tf

__all__ = ["Adam"]

# Weights from which on an update of their own is worth compiling, a tenth of a second.
_MANY = 2**18


class Adam(keras.optimizers.Adam):
    """Keras' Adam by TensorFlow's own operation: a third of the time of an update.

    Keras' goes about ten times over weights, averages and gradients, which are far
    larger than any cache. Variables and numbers are the same up to rounding, so that
    checkpoints fit both. No `amsgrad`.
    """

    def apply(self, grads, trainable_variables=None):
        """As Keras', each variable once the gradient of the one before is there too.

        What gradients still to come read of a weight is copied before it moves. With
        variables in the order of their use, none reads it any more then; to wait for
        all gradients would be to hold them all.
        """
        # Of this update, for all variables; a dict by itself would be tracked.
        self._numbers = types.SimpleNamespace(of_dtype={})
        waiting, before = [], []
        # Replicas' gradients are summed in the weights' dtype, and a traced function
        # takes a mirrored variable for any other of its shape.
        mirrored = any(
            isinstance(average.value, tf.distribute.DistributedValues)
            for average in self._momentums
        )
        if not mirrored and not tf.config.list_physical_devices("GPU"):
            grads = [_before_its_cast(gradient) for gradient in grads]
        for gradient in grads:
            with tf.control_dependencies(before):
                waiting.append(None if gradient is None else tf.identity(gradient))
            before = [] if gradient is None else [gradient]
        super().apply(waiting, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable, of one device."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        if dtype not in self._numbers.of_dtype:
            self._numbers.of_dtype[dtype] = self._hyperparameters(learning_rate, dtype)
        numbers = self._numbers.of_dtype[dtype]
        averages = self._momentums[index].value, self._velocities[index].value
        gradient = tf.convert_to_tensor(gradient)
        if gradient.dtype != dtype:
            _update_by_half_precision(variable, *averages, gradient, numbers)
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=averages[0].handle,
            v=averages[1].handle,
            grad=gradient,
            **numbers,
        )

    def _hyperparameters(self, learning_rate, dtype):
        # Not by tf.cast, which makes a Python number float32 first.
        beta1, beta2, epsilon = (
            tf.constant(number, dtype)
            for number in (self.beta_1, self.beta_2, self.epsilon)
        )
        step = tf.cast(self.iterations + 1, dtype)
        return {
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": epsilon,
            "beta1_power": tf.pow(beta1, step),
            "beta2_power": tf.pow(beta2, step),
            "lr": tf.cast(learning_rate, dtype),
        }


def _before_its_cast(gradient):
    """A large bfloat16 gradient that was cast for its weights alone, else as it is."""
    if (
        isinstance(gradient, tf.Tensor)
        and not tf.executing_eagerly()
        and gradient.op.type == "Cast"
        and gradient.op.inputs[0].dtype == tf.bfloat16
        and (gradient.shape.num_elements() or 0) >= _MANY
    ):
        return gradient.op.inputs[0]
    return gradient


@tf.function(jit_compile=True, autograph=False)
def _update_by_half_precision(variable, m, v, gradient, numbers):
    """As `ResourceApplyAdam`, which would have the cast gradient written and read."""
    gradient = tf.cast(gradient, variable.dtype)
    beta1, beta2 = numbers["beta1"], numbers["beta2"]
    rate = numbers["lr"] * tf.sqrt(1 - numbers["beta2_power"])
    rate /= 1 - numbers["beta1_power"]
    m.assign_add((gradient - m) * (1 - beta1))
    v.assign_add((tf.square(gradient) - v) * (1 - beta2))
    variable.assign_sub(rate * m / (tf.sqrt(v) + numbers["epsilon"]))
