"""Stage glam with what came after the paper; steps are eager, as tracing takes long."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models import from_config
from mirrorgan_tf.training.dry_run import random_batch
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.stream_stage import (
    redescription_loss,
    sampled_redescription_loss,
)

WORDS = 11
ROWS = 4
SEED = tf.constant([3, 5], tf.int32)
RECIPE = {
    "adversarial_loss": "hinge",
    "r1_weight": 0.1,
    "matching_penalty_weight": 2.0,
    "augment": "color,translation,cutout",
    "spectral_norm": True,
    "redescribe": "all",
    "sampled_redescription_weight": 5.0,
    "feature_discriminator": "stream_encoder",
    "feature_discriminator_sizes": "16,32",
    "feature_discriminator_width": 2,
    "frozen_view_shift": 0.1,
}


def _stage(config, **changes):
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(config, **changes)
    return GlamStage.from_config(config, WORDS)


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
    models = [stage.glam, *stage.discriminators, *stage.feature_discriminators]
    before = [model.get_weights() for model in models]
    losses = _step(stage)
    assert np.isfinite(list(losses.values())).all(), losses
    for name in ("16", "32", "features_16", "features_32"):
        assert losses[f"r1_{name}"] > 0
        assert losses[f"matching_{name}"] > 0
    for model, weights in zip(models, before, strict=True):
        after = model.get_weights()
        assert all(np.isfinite(array).all() for array in after)
        assert any((a != b).any() for a, b in zip(weights, after, strict=True))


def test_augmentation_is_drawn_from_the_seed_of_the_step(tiny_config):
    still = {"generator_learning_rate": 0.0, "discriminator_learning_rate": 0.0}
    stage = _stage(tiny_config, augment="color", scales=1, **still)
    other_seed = tf.constant([3, 6], tf.int32)
    first, again, other = _step(stage), _step(stage), _step(stage, other_seed)
    stage.config = dataclasses.replace(stage.config, augment="")
    plain = _step(stage)
    for name in ("discriminator_16", "adversarial_16"):
        assert first[name] == again[name]
        assert len({losses[name] for losses in (first, other, plain)}) == 3
    # What is made is the same, and described as it is.
    for name in ("kl", "redescription"):
        assert first[name] == plain[name]


def test_redescription_is_of_the_last_image_or_of_all(tiny_config):
    stage = _stage(tiny_config)
    batch = _batch(stage.config)
    singly = [
        redescription_loss(
            stage.stream, images, batch["ids"], batch["lengths"], with_end=False
        )
        for images in batch["images"]
    ]
    mu = tf.zeros((ROWS, tiny_config.condition_dim))
    outputs = {"images": batch["images"], "mu": mu, "log_var": mu}
    words, sentence = stage.stem(batch["ids"], batch["lengths"])
    assert singly[0] != singly[1]
    for redescribe, expected in (("last", singly[1]), ("all", np.mean(singly))):
        stage.config = dataclasses.replace(stage.config, redescribe=redescribe)
        losses, _ = stage.generator_loss(
            outputs, batch, words, sentence, training=False
        )
        np.testing.assert_allclose(losses["redescription"], expected, rtol=1e-5)


def test_who_draws_the_words_of_the_caption_is_asked_as_by_teacher_forcing(tiny_config):
    keras.utils.set_random_seed(0)
    stream = from_config.build_stream(tiny_config, WORDS)
    batch = _batch(tiny_config)
    captions = batch["images"][-1], batch["ids"], batch["lengths"]
    # Gumbel noise so high at one word that it is drawn, whatever is said.
    own = tf.one_hot(batch["ids"][:, :-1], WORDS, on_value=1 - 1e-7, off_value=1e-30)
    other = tf.roll(own, 1, axis=-1)
    forced = redescription_loss(stream, *captions, with_end=False)
    same = sampled_redescription_loss(stream, *captions, own)
    np.testing.assert_allclose(same, forced, rtol=1e-5)
    differs = sampled_redescription_loss(stream, *captions, other)
    assert abs(float(differs - forced)) > 1e-5
