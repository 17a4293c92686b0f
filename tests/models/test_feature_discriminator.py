import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.losses.penalties import r1_penalty
from mirrorgan_tf.models.backbones import SmallBackbone
from mirrorgan_tf.models.feature_discriminator import (
    FeatureDiscriminator,
    FeatureMixing,
    nearest_power_of_two,
)


def _maps(shapes, batch=3, dtype=np.float32):
    random = np.random.default_rng(0)
    return [
        tf.constant(random.uniform(0, 1, (batch, side, side, channels)), dtype)
        for side, channels in shapes
    ]


@pytest.mark.parametrize(
    "shapes", [[(16, 4), (8, 6), (4, 5)], [(35, 4), (17, 6), (8, 5)], [(7, 3)]]
)
def test_one_logit_for_each_map(shapes):
    discriminator = FeatureDiscriminator(shapes, width=2)
    sentence = tf.random.stateless_normal((3, 8), (1, 2))
    unconditional, conditional = discriminator(_maps(shapes), sentence)
    assert unconditional.shape == conditional.shape == (3, len(shapes))
    _, other = discriminator(_maps(shapes), -sentence)
    assert np.abs(conditional - other).max() > 1e-6


@pytest.mark.parametrize(
    ("side", "power"), [(4, 4), (3, 4), (7, 8), (14, 16), (17, 16), (35, 32), (56, 64)]
)
def test_nearest_power_of_two_is_at_least_4(side, power):
    assert nearest_power_of_two(side) == power


def test_mixing_has_no_trainable_weights():
    discriminator = FeatureDiscriminator([(16, 4), (8, 6)], width=2)
    discriminator(_maps([(16, 4), (8, 6)]), tf.zeros((3, 8)))
    mixing = {id(weight) for weight in discriminator.mixing.weights}
    assert len(mixing) == 3
    assert not mixing & {id(weight) for weight in discriminator.trainable_variables}


def test_mixing_upsamples_like_bilinear_resizing():
    maps = _maps([(16, 4), (8, 6)])
    mixing = FeatureMixing([4, 6], channels=5)
    large, small = mixing(maps)
    np.testing.assert_allclose(small, mixing.lateral[1](maps[1]), atol=1e-6)
    up = tf.image.resize(small, (16, 16))
    expected = mixing.downward[0](mixing.lateral[0](maps[0]) + up)
    np.testing.assert_allclose(large, expected, atol=1e-5)


def test_gradient_of_penalty_matches_finite_differences():
    # The penalty jumps where a leaky ReLU's input is 0: not with these weights.
    keras.utils.set_random_seed(0)
    shapes = [(17, 3), (8, 4)]
    discriminator = FeatureDiscriminator(shapes, 2, normalized=False, dtype="float64")
    maps = _maps(shapes, dtype=np.float64)
    sentence = tf.random.stateless_normal((3, 8), (1, 2), dtype=tf.float64)
    discriminator(maps, sentence)

    def penalty():
        with tf.GradientTape() as tape:
            tape.watch(maps)
            unconditional, conditional = discriminator(maps, sentence)
            total = tf.reduce_sum(unconditional) + tf.reduce_sum(conditional)
        return tf.reduce_sum(r1_penalty(tape.gradient(total, maps)))

    weight = discriminator.discriminators[0].blocks[0].conv.kernel
    with tf.GradientTape() as tape:
        value = penalty()
    slope = tape.gradient(value, weight.value).numpy()
    direction = np.random.default_rng(1).standard_normal(slope.shape)
    start, small = weight.numpy(), 1e-6
    values = []
    for sign in (1, -1):
        weight.assign(start + sign * small * direction)
        values.append(float(penalty()))
    np.testing.assert_allclose(
        (slope * direction).sum(), (values[0] - values[1]) / (2 * small), rtol=1e-5
    )


def test_config_round_trip():
    discriminator = FeatureDiscriminator([(16, 4)], width=2, normalized=False)
    copy = None
    for model in (discriminator.discriminators[0], discriminator):
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(model)
        )
        assert copy.get_config() == model.get_config()
    copy(_maps([(16, 4)]), tf.zeros((3, 8)))
    assert not any("normalization" in weight.path for weight in copy.weights)


def test_backbone_from_maps_equals_a_call():
    backbone = SmallBackbone(4)
    images = tf.random.stateless_uniform((2, 64, 64, 3), (1, 2), -1, 1)
    backbone.build(images.shape)
    maps = backbone.feature_maps(images)
    assert [tuple(each.shape[1::2]) for each in maps] == backbone.map_shapes
    for value, expected in zip(backbone.from_maps(maps), backbone(images), strict=True):
        np.testing.assert_array_equal(value, expected)
