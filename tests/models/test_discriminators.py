import numpy as np
import pytest

from mirrorgan_tf.models.discriminators import Discriminator


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512])
def test_every_trunk_ends_alike(size):
    discriminator = Discriminator(size, width=1)
    images, sentence = _normal(2, size, size, 3), _normal(2, 5)
    alone, joint = discriminator(images, sentence)
    assert alone.shape == joint.shape == (2,)
    assert discriminator.features(images).shape == (2, 4, 4, 8)


def test_only_the_conditional_head_hears_the_sentence():
    discriminator = Discriminator(16, width=2)
    images = _normal(2, 16, 16, 3)
    alone, joint = discriminator(images, _normal(2, 5))
    alone_again, joint_again = discriminator(images, _normal(2, 5, seed=1))
    np.testing.assert_array_equal(alone, alone_again)
    assert np.abs(joint - joint_again).min() > 1e-6


@pytest.mark.parametrize("size", [8, 48])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"size={size}"):
        Discriminator(size)
