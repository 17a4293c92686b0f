import functools

import keras
import numpy as np
import pytest

from mirrorgan_tf.models import backbones
from mirrorgan_tf.models.backbones import build_backbone
from tests.conftest import shapes_alone


@pytest.fixture(scope="module")
def full_size_backbone():
    """Builds a frozen backbone by name, once; its weights are never created."""

    @functools.cache
    def build(name):
        with shapes_alone():
            return build_backbone(name)

    return build


def _images(size, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (1, size, size, 3)).astype(np.float32)


def test_backbone_small_is_trainable_and_averages_larger_images():
    backbone = build_backbone("small", width=2)
    regions, pooled = backbone(_images(64))
    assert regions.shape == (1, 8, 8, backbone.region_dim)
    assert pooled.shape == (1, backbone.pooled_dim)
    assert len(backbone.trainable_variables) == 24
    images = _images(64)
    bigger = images.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(backbone(bigger)[1], backbone(images)[1], atol=1e-5)


@pytest.mark.parametrize(
    "name, cells, channels",
    [
        ("inception_v3", 17, 768),
        ("resnet152", 14, 1024),
        ("inception_v3_torchvision", 17, 768),
        ("resnet152_torchvision", 14, 1024),
    ],
)
def test_frozen_networks_have_the_papers_map_shapes(
    name, cells, channels, full_size_backbone
):
    backbone = full_size_backbone(name)
    # Symbolically: no weight is created, nothing is computed.
    with shapes_alone():
        regions, pooled = backbone(keras.KerasTensor((2, 64, 64, 3)))
    assert regions.shape == (2, cells, cells, channels)
    assert pooled.shape == (2, 2048)
    assert not backbone.trainable_variables


@pytest.mark.parametrize(
    "name, white",
    [
        # Blue, green, red of 255 less ImageNet's means.
        ("resnet152", 255 - np.array([103.939, 116.779, 123.68])),
        ("resnet152_torchvision", [1, 1, 1]),
    ],
)
def test_resnet_gets_the_range_that_it_was_trained_on(
    name, white, full_size_backbone, monkeypatch
):
    calls = []

    class Network:
        def __call__(self, images, training):
            calls.append((np.asarray(images), training))
            return [images]

    backbone = full_size_backbone(name)
    monkeypatch.setattr(backbone, "network", Network())
    backbone.feature_maps(np.ones((1, 224, 224, 3), np.float32), training=True)
    ((images, training),) = calls
    np.testing.assert_allclose(images[0, 0, 0], white, rtol=1e-5)
    assert training is False


# By torchvision's documentation 23,834,568 parameters (without the auxiliary
# classifier) and 60,192,808; each minus the classifier's 2,049,000.
@pytest.mark.parametrize(
    "name, theirs, count",
    [
        ("inception_v3_torchvision", "inception_v3", 21_785_568),
        ("resnet152_torchvision", "resnet152", 58_143_808),
    ],
)
def test_torchvision_networks_have_the_published_number_of_parameters(
    name, theirs, count, full_size_backbone
):
    ours, theirs = full_size_backbone(name), full_size_backbone(theirs)
    trained = [x for x in ours.network.weights if "moving" not in x.path]
    assert sum(np.prod(weight.shape) for weight in trained) == count
    assert _kernels(ours.network) == _kernels(theirs.network)
    assert ours.map_shapes[-1] == theirs.map_shapes[-1]


def _kernels(network):
    return sorted(
        tuple(layer.kernel.shape)
        for layer in network.layers
        if isinstance(layer, keras.layers.Conv2D)
    )


def test_weights_that_cannot_be_loaded_are_refused():
    class Network:
        def load_weights(self, path):
            raise OSError(f"Unable to open {path}")

    with pytest.raises(ValueError, match=r"weights='broken.h5'.*\(Unable to open"):
        backbones._load_weights(Network(), "inception_v3", "broken.h5")
    with pytest.raises(ValueError, match="none to download.*mirrorgan convert"):
        backbones._load_weights(Network(), "resnet152_torchvision", "imagenet")
    with pytest.raises(ValueError, match="weights='file.h5': backbone small"):
        build_backbone("small", weights="file.h5")
    with pytest.raises(ValueError, match="name='vgg'; expected one of small"):
        build_backbone("vgg")
