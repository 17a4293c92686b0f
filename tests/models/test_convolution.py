import numpy as np
import pytest
from keras import layers, ops

from mirrorgan_tf.models.convolution import Conv2D, convolution_as_product


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# What the discriminators have: halving, narrowing, a head; then a side of its own.
@pytest.mark.parametrize(
    ("height", "width", "size", "stride"),
    [(8, 8, 4, 2), (4, 4, 3, 1), (4, 4, 4, 4), (6, 10, 4, 2), (5, 3, 5, 1)],
)
def test_a_product_is_the_convolution(height, width, size, stride):
    x, kernel = _normal(3, height, width, 5), _normal(size, size, 5, 7, seed=1)
    expected = ops.conv(x, kernel, strides=stride, padding="same")
    made = convolution_as_product(ops.convert_to_tensor(x), kernel, stride)
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_gradients_are_those_of_the_convolution():
    tf = pytest.importorskip("tensorflow")
    x, kernel = tf.constant(_normal(2, 8, 8, 3)), tf.constant(_normal(4, 4, 3, 6))
    weights = _normal(2, 4, 4, 6, seed=2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((x, kernel))
        product = tf.reduce_sum(weights * convolution_as_product(x, kernel, 2))
        convolution = tf.reduce_sum(weights * tf.nn.conv2d(x, kernel, 2, "SAME"))
    for ours, theirs in zip(
        tape.gradient(product, (x, kernel)),
        tape.gradient(convolution, (x, kernel)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "arguments"),
    [
        (8, {"kernel_size": 4, "strides": 2, "padding": "same"}),
        (16, {"kernel_size": 4, "strides": 2, "padding": "same"}),
        (64, {"kernel_size": 4, "strides": 2, "padding": "same"}),
        (8, {"kernel_size": 3, "padding": "valid"}),
        (7, {"kernel_size": 4, "strides": 2, "padding": "same"}),
        (8, {"kernel_size": 3, "strides": 2, "padding": "same"}),
        (8, {"kernel_size": (3, 1), "padding": "same"}),
        (8, {"kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
        (8, {"kernel_size": 3, "groups": 2, "padding": "same"}),
        (8, {"kernel_size": 1, "padding": "same"}),
    ],
)
def test_the_layer_is_keras_own(side, arguments):
    ours, theirs = (
        layer(6, use_bias=True, **arguments) for layer in (Conv2D, layers.Conv2D)
    )
    x = _normal(2, side, side, 4)
    for layer in (ours, theirs):
        layer.build(x.shape)
    theirs.set_weights([_normal(*w.shape, seed=3) for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-4)
