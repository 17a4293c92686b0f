import numpy as np
import pytest

from mirrorgan_tf.models.blocks import GLU, ResidualBlock, UpBlock
from tests.conftest import normal


def test_glu_multiplies_first_half_by_sigmoid_of_second():
    x = np.array([[2.0, -3.0, 0.0, 100.0]], np.float32)
    np.testing.assert_allclose(GLU()(x), [[1.0, -3.0]])


def test_blocks_have_their_output_shapes():
    assert UpBlock(3)(normal(2, 4, 5, 6)).shape == (2, 8, 10, 3)
    assert ResidualBlock(6)(normal(2, 4, 5, 6)).shape == (2, 4, 5, 6)
    with pytest.raises(ValueError, match="6 channels"):
        ResidualBlock(6)(normal(2, 4, 5, 3))


def test_up_block_has_the_same_pixels_for_large_and_small_images():
    # Large images are upsampled by sub-pixel outputs.
    block = UpBlock(3, normalization=False)
    x = normal(1, 32, 32, 4)
    whole = block(x).numpy()
    part = block(x[:, :8, :8]).numpy()
    assert whole.shape == (1, 64, 64, 3)
    # Except at the border, where the part is padded.
    np.testing.assert_allclose(part[:, :15, :15], whole[:, :15, :15], atol=1e-5)
