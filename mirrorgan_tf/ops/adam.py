"""Adam. Plain version: Keras' optimizer.

Keras' update goes about ten times over weights, averages and gradients, which are far
larger than any cache. Fast version: TensorFlow's own operation, one pass over memory.
"""

import types

import keras
import tensorflow as tf

from mirrorgan_tf.ops.selection import Operation, is_fast

__all__ = ["Adam"]

# Weights of a variable from which on compiling its update, which takes a tenth of a
# second, is worth it.
MIN_SIZE_FOR_COMPILED_UPDATE = 2**18


class Adam(keras.optimizers.Adam):
    """Keras' Adam, by one operation a variable where that is faster.

    Variables and results are those of Keras up to rounding, so checkpoints fit both.
    There is no `amsgrad`.
    """

    def apply(self, grads, trainable_variables=None):
        """As Keras' `apply`."""
        # Keras adds up gradients of embeddings wrongly over several replicas.
        grads = [None if x is None else tf.convert_to_tensor(x) for x in grads]
        self._fast = is_fast(Operation.ADAM)
        if self._fast:
            # Hyperparameters of this update by dtype, in an object that Keras does not
            # track as it would track a dict.
            self._hyperparameters = types.SimpleNamespace(by_dtype={})
            grads = _in_order(self._without_casts(grads))
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable on one device."""
        if not self._fast:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        by_dtype = self._hyperparameters.by_dtype
        if dtype not in by_dtype:
            by_dtype[dtype] = self._read_hyperparameters(learning_rate, dtype)
        averages = self._momentums[index].value, self._velocities[index].value
        if gradient.dtype != dtype:
            _compiled_update(variable, *averages, gradient, by_dtype[dtype])
            return
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=averages[0].handle,
            v=averages[1].handle,
            grad=gradient,
            **by_dtype[dtype],
        )

    def _without_casts(self, gradients):
        """Large bfloat16 gradients as they were before the cast to float32."""
        # Gradients of mirrored variables are summed in the weights' dtype. Besides, a
        # traced function can't tell mirrored variables of the same shape apart.
        if any(
            isinstance(average.value, tf.distribute.DistributedValues)
            for average in self._momentums
        ):
            return gradients
        return [_before_cast(gradient) for gradient in gradients]

    def _read_hyperparameters(self, learning_rate, dtype):
        # tf.cast would round a Python number to float32 first.
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


def _in_order(gradients):
    """Makes each gradient available only after the one before it is computed.

    TensorFlow copies a weight that is updated while a gradient still has to be computed
    from it. In this order, which is that in which the network uses its variables, no
    remaining gradient needs the weight when it is updated. Waiting for all gradients
    would avoid the copies too, but keep all gradients in memory.
    """
    ordered, previous = [], []
    for gradient in gradients:
        with tf.control_dependencies(previous):
            ordered.append(None if gradient is None else tf.identity(gradient))
        previous = [] if gradient is None else [gradient]
    return ordered


def _before_cast(gradient):
    """A large gradient before its cast from bfloat16; any other one as it is."""
    if (
        isinstance(gradient, tf.Tensor)
        and not tf.executing_eagerly()
        and gradient.op.type == "Cast"
        and gradient.op.inputs[0].dtype == tf.bfloat16
        and (gradient.shape.num_elements() or 0) >= MIN_SIZE_FOR_COMPILED_UPDATE
    ):
        return gradient.op.inputs[0]
    return gradient


@tf.function(jit_compile=True, autograph=False)
def _compiled_update(variable, m, v, gradient, numbers):
    """`ResourceApplyAdam` without writing and reading the cast gradient."""
    gradient = tf.cast(gradient, variable.dtype)
    beta1, beta2 = numbers["beta1"], numbers["beta2"]
    rate = numbers["lr"] * tf.sqrt(1 - numbers["beta2_power"])
    rate /= 1 - numbers["beta1_power"]
    m.assign_add((gradient - m) * (1 - beta1))
    v.assign_add((tf.square(gradient) - v) * (1 - beta2))
    variable.assign_sub(rate * m / (tf.sqrt(v) + numbers["epsilon"]))
