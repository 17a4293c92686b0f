"""torchvision's networks as Keras layers against their definition in plain tf.nn."""

import keras
import numpy as np
import pytest

from mirrorgan_tf.convert.loading import load_pytorch_state
from mirrorgan_tf.convert.names import pytorch_entries
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stream import StreamEncoder
from tests.convert.states import pytorch_state
from tests.convert.torchvision_reference import (
    TensorFlow,
    inception_v3,
    random_state,
    resnet,
)

BLOCKS = (3, 8, 36, 3)


def random_images(size, seed=1):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)


def all_features(network, names, images):
    """Features of the named layers."""
    outputs = [network.get_layer(name).output for name in names]
    features = keras.Model(network.input, outputs)(images, training=False)
    return dict(zip(names, map(keras.ops.convert_to_numpy, features), strict=True))


def assert_close(ours, theirs, tolerance):
    """Checks the relative error, and that the features are not constant."""
    assert ours.shape == theirs.shape
    assert np.std(theirs) > 1e-3
    assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


def their_shapes(model):
    return {
        name: shape
        for entry in pytorch_entries(model)
        for name, shape in entry.their_shapes().items()
    }


def build_image_encoder():
    encoder = ImageEncoder("inception_v3_torchvision", "none", words_dim=6)
    encoder.build((None, 32, 32, 3))
    return encoder


def build_stream_encoder():
    encoder = StreamEncoder("resnet152_torchvision", "none", feature_dim=5)
    encoder.build((None, 32, 32, 3))
    return encoder


@pytest.fixture(scope="module")
def image_encoder(thin_backbones):
    encoder = build_image_encoder()
    state = random_state(their_shapes(encoder))
    load_pytorch_state(encoder, state)
    return encoder, state


@pytest.fixture(scope="module")
def stream_encoder(thin_backbones):
    encoder = build_stream_encoder()
    state = random_state(their_shapes(encoder), seed=2)
    load_pytorch_state(encoder, state)
    return encoder, state


def test_inception_features_equal_those_of_plain_operations(image_encoder):
    encoder, state = image_encoder
    images = random_images(75)
    net = TensorFlow(state)
    theirs = inception_v3(net, net.enter(images))
    assert len(theirs) == 16
    ours = all_features(encoder.backbone.network, list(theirs), images)
    for name, features in theirs.items():
        assert_close(ours[name], net.leave(features), 1e-5)
    regions, code = encoder(images)
    by_cell = net.leave(theirs["Mixed_6e"]).reshape(2, -1, encoder.backbone.region_dim)
    assert_close(
        regions.numpy(), by_cell @ state["emb_features.weight"][:, :, 0, 0].T, 1e-5
    )
    pooled = net.leave(theirs["Mixed_7c"]).mean(axis=(1, 2))
    assert_close(
        code.numpy(),
        pooled @ state["emb_cnn_code.weight"].T + state["emb_cnn_code.bias"],
        1e-5,
    )


def test_resnet_features_equal_those_of_plain_operations(stream_encoder):
    encoder, state = stream_encoder
    images = random_images(64)
    net = TensorFlow(state)
    theirs = resnet(net, net.enter(images), BLOCKS)
    ours = all_features(encoder.backbone.network, list(theirs), images)
    for name, features in theirs.items():
        assert_close(ours[name], net.leave(features), 1e-5)
    pooled = net.leave(theirs["layer4"]).mean(axis=(1, 2))
    linear = pooled @ state["linear.weight"].T + state["linear.bias"]
    assert_close(
        encoder(images).numpy(), net.norm(linear, "bn", 1e-5).astype(np.float32), 1e-5
    )


@pytest.mark.parametrize("name", ["image_encoder", "stream_encoder"])
def test_conversion_in_both_directions_changes_nothing(request, name):
    encoder, state = request.getfixturevalue(name)
    converted = pytorch_state(encoder)
    assert converted.keys() == state.keys()
    for key, array in state.items():
        np.testing.assert_array_equal(converted[key], array)
    # Parameters of classifiers and counters are ignored.
    ignored = {"fc.weight": np.ones(3), "AuxLogits.conv0.conv.weight": np.ones(3)}
    layer = next(iter(state)).rpartition(".")[0]
    ignored[f"{layer}.num_batches_tracked"] = np.array(7)
    before = encoder.get_weights()
    load_pytorch_state(encoder, state | ignored)
    for a, b in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
