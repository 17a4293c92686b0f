import keras
import numpy as np
import pytest

from mirrorgan_tf.models.discriminators import Discriminator, JointBlock
from mirrorgan_tf.models.spectral_norm import SpectralConv2D
from tests.conftest import normal


@pytest.mark.parametrize("size", [16, 64, 128, 512])
def test_features_have_the_same_shape_for_every_image_size(size):
    discriminator = Discriminator(size, width=1)
    images, sentence = normal(2, size, size, 3), normal(2, 5)
    unconditional, conditional = discriminator(images, sentence)
    assert unconditional.shape == conditional.shape == (2,)
    assert discriminator.features(images).shape == (2, 4, 4, 8)


def test_sentence_changes_only_the_conditional_logits():
    discriminator = Discriminator(16, width=2)
    images = normal(2, 16, 16, 3)
    unconditional, conditional = discriminator(images, normal(2, 5))
    same_unconditional, other_conditional = discriminator(images, normal(2, 5, seed=1))
    np.testing.assert_array_equal(unconditional, same_unconditional)
    assert np.abs(conditional - other_conditional).min() > 1e-6


def test_batches_in_one_call_are_normalised_separately():
    together, apart = (Discriminator(16, width=2) for _ in range(2))
    images, sentence = normal(6, 16, 16, 3), normal(6, 5, seed=1)
    # Give the second batch other statistics.
    images[3:] += 1
    for discriminator in (together, apart):
        discriminator(images, sentence)
    apart.set_weights(together.get_weights())
    features = together.features(images, batches=2, training=True)
    conditional = together.conditional(features, sentence, batches=2, training=True)
    for rows in (slice(3), slice(3, 6)):
        expected = apart.features(images[rows], training=True)
        np.testing.assert_allclose(features[rows], expected, atol=1e-5)
        expected = apart.conditional(expected, sentence[rows], training=True)
        np.testing.assert_allclose(conditional[rows], expected, atol=1e-5)
    # The first batch moves the averages, then the second.
    for value, expected in zip(
        together.get_weights(), apart.get_weights(), strict=True
    ):
        np.testing.assert_allclose(value, expected, atol=1e-6)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_joint_block_convolves_features_with_the_sentence_everywhere(spectral_norm):
    block = JointBlock(6, 3, spectral_norm=spectral_norm, normalized=False)
    block.build((None, 4, 4, 5 + 3))
    features, sentence = normal(4, 4, 4, 5), normal(6, 3, seed=1)
    # The last two sentences go with the first two images.
    images = np.concatenate([features, features[:2]])
    everywhere = np.broadcast_to(sentence[:, None, None], (6, 4, 4, 3))
    whole = block.conv(np.concatenate([images, everywhere], axis=-1))
    np.testing.assert_allclose(
        block(features, sentence), keras.ops.leaky_relu(whole, 0.2), atol=1e-5
    )


@pytest.mark.parametrize("size", [8, 48])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match=f"size={size}"):
        Discriminator(size)


def test_spectral_norm_divides_by_the_largest_singular_value():
    layer = SpectralConv2D(5, 3, use_bias=False)
    # The output for one pixel in the middle of zeros is the kernel, rotated by 180°.
    pixels = np.zeros((4, 5, 5, 4), np.float32)
    pixels[np.arange(4), 2, 2, np.arange(4)] = 1
    layer(pixels)
    kernel = normal(3, 3, 4, 5)
    layer.kernel.assign(kernel)
    for _ in range(30):
        layer(pixels, training=True)
    response = np.asarray(layer(pixels))[:, 1:4, 1:4]
    normalised = np.moveaxis(response[:, ::-1, ::-1], 0, 2)
    largest = np.linalg.svd(normalised.reshape(-1, 5), compute_uv=False)[0]
    np.testing.assert_allclose(largest, 1.0, rtol=1e-4)
    np.testing.assert_allclose(
        normalised * np.linalg.norm(kernel) / np.linalg.norm(normalised),
        kernel,
        rtol=1e-4,
    )
    np.testing.assert_array_equal(layer.kernel, kernel)


def test_spectral_norm_applies_to_all_convolutions_and_iterates_only_in_training():
    discriminator = Discriminator(16, width=2, spectral_norm=True)
    inputs = normal(2, 16, 16, 3), normal(2, 5)
    discriminator(*inputs)
    layers = [
        layer for layer in discriminator._flatten_layers() if hasattr(layer, "kernel")
    ]
    assert all(isinstance(layer, SpectralConv2D) for layer in layers)
    for layer in layers:
        # The initial, orthogonal kernel has no dominant direction.
        layer.kernel.assign(normal(*layer.kernel.shape))
    before = [layer.direction.numpy() for layer in layers]
    discriminator(*inputs)
    after_inference = [layer.direction.numpy() for layer in layers]
    discriminator(*inputs, training=True)
    after_training = [layer.direction.numpy() for layer in layers]
    assert len(layers) == 5
    for a, b, c in zip(before, after_inference, after_training, strict=True):
        np.testing.assert_array_equal(a, b)
        # The heads have one channel, so their direction is fixed.
        assert len(a) == 1 or np.abs(b - c).max() > 1e-3
        np.testing.assert_allclose(np.linalg.norm(c), 1.0, rtol=1e-5)
