import numpy as np
import pytest
from keras import ops

from mirrorgan_tf.models.blocks import (
    GLU,
    BatchNormalization,
    ResidualBlock,
    UpBlock,
    corner_convs,
    join_corners,
)


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 5), (3, 4, 6, 5)])
@pytest.mark.parametrize("synchronized", [False, True])
def test_batch_statistics(shape, synchronized):
    # Far from zero: a mean of squares would lose the variance.
    x = _normal(*shape) + 3000
    layer = BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized)
    result = layer(x, training=True)
    axes = tuple(range(len(shape) - 1))
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axes), exact.var(axes)
    expected = (exact - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(result, expected, atol=5e-3)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)


def test_many_positions_add_up():
    x = np.full((1, 512, 512, 1), 0.1, np.float32)
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, [0.1], rtol=1e-6)


def test_gradients_are_those_of_the_formula():
    tf = pytest.importorskip("tensorflow")
    x, weights = tf.constant(_normal(2, 3, 3, 4)), _normal(2, 3, 3, 4)
    layer = BatchNormalization(epsilon=1e-5, synchronized=True)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = tf.reduce_sum(weights * layer(x, training=True))
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        theirs = tf.reduce_sum(weights * (x - mean) / tf.sqrt(variance + 1e-5))
    np.testing.assert_allclose(
        tape.gradient(ours, x), tape.gradient(theirs, x), atol=1e-5
    )


def test_glu_gates_the_first_half_with_the_second():
    x = np.array([[2.0, -3.0, 0.0, 100.0]], np.float32)
    np.testing.assert_allclose(GLU()(x), [[1.0, -3.0]])


def test_blocks_keep_their_shapes():
    assert UpBlock(3)(_normal(2, 4, 5, 6)).shape == (2, 8, 10, 3)
    assert ResidualBlock(6)(_normal(2, 4, 5, 6)).shape == (2, 4, 5, 6)
    with pytest.raises(ValueError, match="6 channels"):
        ResidualBlock(6)(_normal(2, 4, 5, 3))


@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (1, 1, 1, 2)])
def test_upsampling_within_the_convolution(shape):
    x, kernel = _normal(*shape), _normal(3, 3, shape[-1], 6)
    large = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    bias = np.arange(6, dtype=np.float32)
    expected = ops.conv(large, kernel, padding="same")
    for given in (None, bias):
        made = join_corners(corner_convs(x, kernel, given))
        np.testing.assert_allclose(
            made, expected if given is None else expected + bias, atol=1e-5
        )


def test_an_up_block_is_the_same_at_any_side():
    # From some side on it upsamples within the convolution.
    block = UpBlock(3, normalization=False)
    x = _normal(1, 32, 32, 4)
    whole = block(x).numpy()
    part = block(x[:, :8, :8]).numpy()
    assert whole.shape == (1, 64, 64, 3)
    # But for the border, where one sees padding.
    np.testing.assert_allclose(part[:, :15, :15], whole[:, :15, :15], atol=1e-5)
