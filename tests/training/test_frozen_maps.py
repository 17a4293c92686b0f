import keras
import numpy as np
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.training.frozen_maps import FrozenMaps


def _networks(config):
    keras.utils.set_random_seed(0)
    return {
        "image_encoder": networks.build_image_encoder(config),
        "stream": networks.build_stream(config, 11),
    }


def test_maps_are_computed_once_for_networks_with_the_same_backbone(tiny_config):
    config = tiny_config.replace(
        image_encoder_weights="backbone", stream_encoder_weights="stem"
    )
    networks = _networks(config)
    maps = FrozenMaps(config, **networks)
    images = tf.random.stateless_uniform((2, 32, 32, 3), (1, 2), -1, 1)
    first = maps.maps("image_encoder", images)
    assert all(
        a is b for a, b in zip(first, maps.maps("stream_encoder", images), strict=True)
    )
    # Other networks, or a copy of the images, are another pass.
    assert maps.maps("image_encoder", tf.identity(images))[0] is not first[0]
    apart = FrozenMaps(tiny_config, **networks)
    ours, theirs = (
        apart.maps(network, images)[0]
        for network in ("image_encoder", "stream_encoder")
    )
    assert np.abs(ours - theirs).max() > 0


def test_images_are_moved_by_their_shift_numbers_before_they_are_encoded(tiny_config):
    config = tiny_config.replace(frozen_view_shift=0.25)
    networks = _networks(config)
    images = tf.random.stateless_uniform((2, 32, 32, 3), (1, 2), -1, 1)
    numbers = tf.constant([[0.0, 0.999], [0.5, 0.5]])
    moved = FrozenMaps(config, **networks, shift_numbers=numbers)
    # By at most 8 px: the first shows what lies above and to the right.
    padded = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)), "symmetric")
    expected = np.stack([padded[0, 0:32, 16:48], padded[1, 8:40, 8:40]])
    backbone = networks["image_encoder"].backbone
    for ours, theirs in zip(
        moved.maps("image_encoder", images),
        backbone.feature_maps(tf.constant(expected)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
