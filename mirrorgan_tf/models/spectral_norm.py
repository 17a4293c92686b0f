"""Spectral normalisation, for discriminators."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.blocks import Conv2D, full_precision

__all__ = ["SpectralConv2D"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class SpectralConv2D(Conv2D):
    """A convolution with its kernel divided by its largest singular value.

    The kernel counts as a matrix (inputs of a position, channels). Each call in
    training is one step of power iteration. keras.layers.SpectralNormalization
    overwrites the kernel at every call, which suits neither optimizers nor replicas.

    Source: Miyato et al., Spectral Normalization for GANs (2018).
    """

    # Those of Conv2D save only kernel and bias.
    save_own_variables = layers.Layer.save_own_variables
    load_own_variables = layers.Layer.load_own_variables

    def build(self, input_shape):
        super().build(input_shape)
        self.direction = self.add_weight(
            name="direction",
            shape=(self.filters,),
            # Of length 1.
            initializer=keras.initializers.Constant(self.filters**-0.5),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs, training=False):
        """As Conv2D, after a step of power iteration in training."""
        if training:
            self._iterate()
        return super().call(inputs)

    def convolution_op(self, inputs, kernel):
        """Convolves with the normalised kernel."""
        return super().convolution_op(inputs, self._normalize(kernel))

    def effective_kernel(self, training=False):
        """The normalised kernel, after a step of power iteration in training."""
        if training:
            self._iterate()
        return self._normalize(self.kernel)

    def _normalize(self, kernel):
        stretched = ops.matmul(self._matrix(kernel), self.direction[:, None])
        largest = ops.sqrt(ops.sum(ops.square(stretched)))
        return kernel / ops.cast(largest, kernel.dtype)

    def _iterate(self):
        matrix = ops.stop_gradient(self._matrix(self.kernel))
        direction = ops.matmul(matrix, self.direction[:, None])
        direction = ops.matmul(ops.transpose(matrix), direction)[:, 0]
        self.direction.assign(direction / ops.norm(direction))

    def _matrix(self, kernel):
        return full_precision(ops.reshape(kernel, (-1, self.filters)))
