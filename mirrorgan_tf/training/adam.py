"""Adam whose update is one pass over memory."""

import types

import keras
import tensorflow as tf

__all__ = ["Adam"]


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
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=tf.convert_to_tensor(tf.cast(gradient, dtype)),
            **self._numbers.of_dtype[dtype],
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
