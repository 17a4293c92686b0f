import numpy as np
import pytest

from mirrorgan_tf.evaluation.autoencoder import (
    AutoencoderExtractor,
    build_autoencoder,
    feature_network,
    reduce_images,
    train_encoder,
)
from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.evaluation.saved_networks import load_network, save_network

pytestmark = pytest.mark.usefixtures("untraced")


def flat_images(count, seed):
    """Images of one colour each, 16 px."""
    colors = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 3), np.uint8)
    return np.broadcast_to(colors, (count, 16, 16, 3))


def test_features_are_standardized_and_nearer_for_images_of_the_same_kind(tmp_path):
    images = flat_images(200, seed=0)
    encoder = train_encoder(images, seed=1, epochs=2)
    extractor = AutoencoderExtractor(encoder)
    features = extractor(images)["features"]
    assert features.shape == (200, 64 + 24 + 48 + 64 + 96)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(features[:, :64].std(axis=0), 1, atol=1e-2)
    noise = np.random.default_rng(2).integers(0, 256, images.shape, np.uint8)
    same, other = (
        fid(features, extractor(others)["features"])
        for others in (flat_images(200, 3), noise)
    )
    assert same < other / 3
    # Larger images are reduced to the size of the input.
    bigger = images[:4].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(extractor(bigger)["features"], features[:4], atol=1e-3)

    save_network(encoder, tmp_path, "autoencoder", {"seed": 1})
    loaded = load_network(tmp_path, "autoencoder", {"seed": 1})
    assert AutoencoderExtractor(loaded).facts == extractor.facts
    np.testing.assert_array_equal(
        AutoencoderExtractor(loaded)(images[:8])["features"],
        extractor(images[:8])["features"],
    )
    assert load_network(tmp_path, "autoencoder", {"seed": 2}) is None
    (tmp_path / "autoencoder.keras").write_bytes(b"damaged")
    assert load_network(tmp_path, "autoencoder", {"seed": 1}) is None


def test_facts_depend_on_the_images_that_set_the_scale():
    model = build_autoencoder(16)
    encoders = [feature_network(model, flat_images(20, seed)) for seed in (0, 1)]
    first, other = (AutoencoderExtractor(encoder).facts for encoder in encoders)
    assert first != other


@pytest.mark.parametrize("size", [16, 32, 64])
def test_autoencoder_returns_images_of_its_input_size(size):
    model = build_autoencoder(size)
    assert model.output_shape == (None, size, size, 3)


def test_reduce_images_averages_blocks_of_pixels():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, :2, :2] = [[[10], [20]], [[30], [40]]]
    reduced = reduce_images(images, 2)
    np.testing.assert_array_equal(reduced[0, :, :, 0], [[25, 0], [0, 0]])
    assert reduce_images(images, 4) is images
    with pytest.raises(ValueError, match=r"k \* 3"):
        reduce_images(images, 3)
