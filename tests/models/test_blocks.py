import numpy as np
import pytest
from keras import ops

from mirrorgan_tf.models.blocks import (
    GLU,
    ResidualBlock,
    UpBlock,
    corner_convs,
    join_corners,
)


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


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
