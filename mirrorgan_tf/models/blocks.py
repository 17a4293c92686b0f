"""The layers that generator and discriminators consist of."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.batch_norm import batch_normalization, normalize
from mirrorgan_tf.models.rematerialization import Block
from mirrorgan_tf.ops.convolution import conv2d
from mirrorgan_tf.ops.upsampling import upsample_conv2d

__all__ = [
    "GLU",
    "MASKED_LOGIT",
    "Conv2D",
    "Orthogonal",
    "ResidualBlock",
    "UpBlock",
    "conv",
    "dense",
    "full_precision",
    "recurrent_policy",
]

# Logit of what a softmax must not choose: its exponential is 0 in float32, and sums of
# it stay finite.
MASKED_LOGIT = -1e9


def full_precision(x):
    """Casts half precision to float32; wider floats stay."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def recurrent_policy(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """For LSTMs: compute in the weights' dtype, else each step casts the weights."""
    return keras.DTypePolicy(policy.variable_dtype)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Orthogonal(keras.initializers.Orthogonal):
    """Keras' initializer for any dtype: its QR decomposition has no bfloat16."""

    def __call__(self, shape, dtype=None):
        """Computes in float32."""
        return ops.cast(super().__call__(shape, "float32"), dtype or "float32")


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Conv2D(layers.Conv2D):
    """A 'same' convolution with a square kernel."""

    def __init__(self, filters, kernel_size, strides=1, padding="same", **kwargs):
        if padding != "same":
            raise ValueError(f"padding={padding!r}; expected 'same'")
        super().__init__(
            filters, kernel_size, strides=strides, padding=padding, **kwargs
        )

    def convolution_op(self, inputs, kernel):
        """Convolves with the kernel that a subclass may have normalised."""
        return conv2d(inputs, kernel, self.strides[0])

    def effective_kernel(self, training=False):
        """The kernel to convolve with, for layers that convolve with it themselves."""
        return self.kernel


def conv(
    channels: int,
    kernel_size: int,
    *,
    strides: int = 1,
    use_bias: bool = False,
    layer: type[Conv2D] = Conv2D,
    dtype,
) -> Conv2D:
    """A 'same' convolution with orthogonal initial weights (authors' code)."""
    return layer(
        channels,
        kernel_size,
        strides=strides,
        use_bias=use_bias,
        kernel_initializer=Orthogonal(),
        dtype=dtype,
    )


def dense(units: int, *, use_bias: bool = False, dtype) -> layers.Dense:
    """A dense layer with orthogonal initial weights (authors' code)."""
    return layers.Dense(
        units, use_bias=use_bias, kernel_initializer=Orthogonal(), dtype=dtype
    )


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class GLU(layers.Layer):
    """Gated linear unit: (..., 2C) to (..., C), first half · sigmoid(second half)."""

    def call(self, x):
        """Multiplies the first half of the channels by the gates of the second."""
        values, gate = ops.split(x, 2, axis=-1)
        # In half precision TensorFlow's sigmoid takes twice as long as in float32.
        return values * ops.cast(ops.sigmoid(full_precision(gate)), gate.dtype)


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class UpBlock(Block):
    """Doubles the side: nearest neighbour, convolution 3×3, batch norm, GLU.

    (B, h, w, any) to (B, 2h, 2w, channels).

    Args:
        channels: of the output.
        normalization: False has a bias in place of the batch norm.
    """

    def __init__(self, channels: int, normalization: bool = True, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.channels = channels
        self.conv = conv(2 * channels, 3, use_bias=not normalization, dtype=policy)
        self.norm = batch_normalization(dtype=policy) if normalization else None
        self.glu = GLU(dtype=policy)

    def build(self, input_shape):
        self.conv.build((None, None, None, input_shape[-1]))
        if self.norm:
            self.norm.build((None, None, None, 2 * self.channels))
        self.built = True

    def call(self, x, training=False):
        """(B, h, w, any) to (B, 2h, 2w, channels)."""
        if self.norm is None:
            return upsample_conv2d(
                x, self.conv.kernel, self.conv.bias, activation=self.glu
            )
        x = upsample_conv2d(x, self.conv.kernel)
        return self.glu(self.norm(x, training=training))


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ResidualBlock(Block):
    """Two convolutions with a GLU between them, added to the input.

    (B, h, w, channels) to the same. Nothing follows the sum (authors' code).

    Args:
        channels: of input and output.
        normalization: False has biases in place of the batch norms.
    """

    def __init__(self, channels: int, normalization: bool = True, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        use_bias = not normalization
        self.channels = channels
        self.conv1 = conv(2 * channels, 3, use_bias=use_bias, dtype=policy)
        self.norm1 = batch_normalization(dtype=policy) if normalization else None
        self.glu = GLU(dtype=policy)
        self.conv2 = conv(channels, 3, use_bias=use_bias, dtype=policy)
        self.norm2 = batch_normalization(dtype=policy) if normalization else None

    def build(self, input_shape):
        if input_shape[-1] != self.channels:
            raise ValueError(
                f"input_shape={input_shape}; expected {self.channels} channels"
            )
        self.conv1.build((None, None, None, self.channels))
        self.conv2.build((None, None, None, self.channels))
        if self.norm1:
            self.norm1.build((None, None, None, 2 * self.channels))
            self.norm2.build((None, None, None, self.channels))
        self.built = True

    def call(self, x, training=False):
        """(B, h, w, channels) to the same."""
        hidden = self.glu(normalize(self.conv1(x), self.norm1, training=training))
        return x + normalize(self.conv2(hidden), self.norm2, training=training)
