import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.training.optimizers import (
    clip_gradients,
    learning_rate,
    make_optimizer,
)


@pytest.mark.parametrize("stage", ["stem", "stream"])
def test_rate_of_schedule_steps_falls_by_decay_every_decay_steps(stage, tiny_config):
    config = tiny_config.replace(
        **{
            f"{stage}_learning_rate": 0.5,
            f"{stage}_decay": 0.2,
            f"{stage}_decay_steps": 10,
        },
    )
    rates = [float(learning_rate(config, stage)(step)) for step in (0, 9, 10, 25)]
    assert rates == pytest.approx([0.5, 0.5, 0.1, 0.02])


@pytest.mark.parametrize(
    "network, stage, changes",
    [
        ("backbone", "backbone", {"backbone_learning_rate": 0.5}),
        ("stem", "stem", {"stem_learning_rate": 0.5, "stem_schedule": "cosine"}),
        (
            "stream",
            "stream",
            {"stream_learning_rate": 0.5, "stream_schedule": "cosine"},
        ),
        (
            "generator",
            "glam",
            {"generator_learning_rate": 0.5, "glam_schedule": "cosine"},
        ),
    ],
)
def test_cosine_schedule_ends_with_the_stage(network, stage, changes, tiny_config):
    config = tiny_config.replace(**{f"{stage}_steps": 30}, **changes)
    schedule = learning_rate(config, network)
    for step in (0, 10, 15, 30):
        expected = 0.5 * (1 + math.cos(math.pi * step / 30)) / 2
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-7)


def test_generator_and_discriminators_have_rates_of_their_own(tiny_config):
    config = tiny_config.replace(
        generator_learning_rate=0.1, discriminator_learning_rate=0.2, adam_beta1=0.3
    )
    variables = [keras.Variable(np.zeros(3, np.float32))]
    rates = {}
    for network in ("generator", "discriminator"):
        optimizer = make_optimizer(config, network, variables)
        assert optimizer.built and optimizer.beta_1 == 0.3
        rates[network] = float(optimizer.learning_rate)
    assert rates == pytest.approx({"generator": 0.1, "discriminator": 0.2})


def test_gradients_are_clipped_to_the_norm_and_left_alone_without_one():
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    clipped, losses = clip_gradients(gradients, 2.0)
    np.testing.assert_allclose(clipped[0], [1.2, 0], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[1.6]], rtol=1e-6)
    assert float(losses["gradient_norm"]) == pytest.approx(5.0)
    assert clip_gradients(gradients, 0.0) == (gradients, {})
