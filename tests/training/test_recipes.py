"""Stage glam with what came after the paper; steps are eager, as tracing takes long."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models import from_config
from mirrorgan_tf.training.dry_run import random_batch
from mirrorgan_tf.training.glam_stage import GlamStage

WORDS = 11
ROWS = 4
SEED = tf.constant([3, 5], tf.int32)
RECIPE = {
    "adversarial_loss": "hinge",
    "r1_weight": 0.1,
    "matching_penalty_weight": 2.0,
    "augment": "color,translation,cutout",
    "spectral_norm": True,
}


def _stage(config, **changes):
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(config, **changes)
    return GlamStage(
        config,
        stem=from_config.build_stem(config, WORDS),
        stream=from_config.build_stream(config, WORDS),
        image_encoder=from_config.build_image_encoder(config),
        glam=from_config.build_glam(config),
        glam_ema=from_config.build_glam(config),
        discriminators=from_config.build_discriminators(config),
    )


def _batch(config):
    batch = random_batch(config, ROWS, WORDS)
    return tf.nest.map_structure(tf.constant, batch)


def _step(stage, seed=SEED):
    losses = stage.step(_batch(stage.config), seed)
    return {name: float(loss) for name, loss in losses.items()}


@pytest.mark.parametrize(
    "changes", [{"accumulate_steps": 1}, {"accumulate_steps": 2}], ids=["once", "micro"]
)
def test_the_whole_recipe_trains(changes, tiny_config):
    stage = _stage(tiny_config, **RECIPE, **changes)
    models = [stage.glam, *stage.discriminators]
    before = [model.get_weights() for model in models]
    losses = _step(stage)
    assert np.isfinite(list(losses.values())).all(), losses
    for size in stage.config.sizes:
        assert losses[f"r1_{size}"] > 0
        assert losses[f"matching_{size}"] > 0
    for model, weights in zip(models, before, strict=True):
        after = model.get_weights()
        assert all(np.isfinite(array).all() for array in after)
        assert any((a != b).any() for a, b in zip(weights, after, strict=True))


def test_augmentation_is_drawn_from_the_seed_of_the_step(tiny_config):
    changes = {"augment": "color", "scales": 1}
    first, again, other = (
        _step(_stage(tiny_config, **changes), seed=tf.constant([3, step], tf.int32))
        for step in (5, 5, 6)
    )
    plain = _step(_stage(tiny_config, scales=1))
    assert first == again
    assert first["discriminator_16"] != other["discriminator_16"]
    assert first["discriminator_16"] != plain["discriminator_16"]
    # The same noise, and what is made is described as it is.
    np.testing.assert_allclose(first["kl"], plain["kl"], rtol=1e-6)
