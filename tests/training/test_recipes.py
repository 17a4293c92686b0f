"""Stage glam with the settings beyond the paper; eager, as tracing takes long."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.losses.caption import mean_word_loss
from mirrorgan_tf.training.captions import first_captions
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.dry_run import random_batch
from mirrorgan_tf.training.glam_stage import GlamStage

WORDS = 11
ROWS = 4
SEED = tf.constant([3, 5], tf.int32)
RECIPE = {
    "adversarial_loss": "hinge",
    "r1_weight": 0.1,
    "augment": "color,translation,cutout",
    "spectral_norm": True,
    "redescribe": "all",
    "feature_discriminator": "stream_encoder",
    "feature_discriminator_sizes": "16,32",
    "feature_discriminator_width": 2,
    "frozen_view_shift": 0.1,
}


def _stage(config, **changes):
    keras.utils.set_random_seed(0)
    config = config.replace(**changes)
    return GlamStage.from_config(config, WORDS)


def _batch(config):
    batch = random_batch(config, ROWS, WORDS)
    return tf.nest.map_structure(tf.constant, batch)


def _step(stage, seed=SEED):
    losses = stage.step(_batch(stage.config), seed)
    return {name: float(loss) for name, loss in losses.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate_steps": 1, "scales": 1, "feature_discriminator_sizes": "16"},
        {
            "accumulate_steps": 2,
            "r1_every": int(SEED[1]),
            "discriminator_normalization": False,
        },
    ],
    ids=["once", "micro"],
)
def test_all_settings_beyond_the_paper_train_together(changes, tiny_config):
    stage = _stage(tiny_config, **RECIPE | changes)
    models = [stage.glam, *stage.discriminators, *stage.feature_discriminators]
    before = [model.get_weights() for model in models]
    losses = _step(stage)
    assert np.isfinite(list(losses.values())).all(), losses
    for size in stage.config.sizes:
        assert losses[f"r1_{size}"] > 0 and losses[f"r1_features_{size}"] > 0
    for model, weights in zip(models, before, strict=True):
        after = model.get_weights()
        assert all(np.isfinite(array).all() for array in after)
        assert any((a != b).any() for a, b in zip(weights, after, strict=True))


def test_augmentation_depends_on_the_seed_of_the_step(tiny_config):
    still = {"generator_learning_rate": 0.0, "discriminator_learning_rate": 0.0}
    stage = _stage(tiny_config, augment="color", scales=1, **still)
    other_seed = tf.constant([3, 6], tf.int32)
    first, second, other = _step(stage), _step(stage), _step(stage, other_seed)
    stage.config = stage.config.replace(augment="")
    plain = _step(stage)
    for name in ("discriminator_16", "adversarial_16"):
        assert first[name] == second[name]
        assert len({losses[name] for losses in (first, other, plain)}) == 3
    # The generated images, and their redescriptions, are the same.
    for name in ("kl", "redescription"):
        assert first[name] == plain[name]


def test_redescription_is_of_the_last_image_or_of_all(tiny_config):
    batch = _batch(tiny_config)
    ids, lengths = first_captions((batch["caption_ids"], batch["caption_lengths"]))
    losses, singly = {}, []
    for redescribe in ("last", "all"):
        stage = _stage(tiny_config, redescribe=redescribe)
        words, sentence, padding_mask = stage.stem(**first_captions(batch["text"]))
        generator_inputs = {
            "words": words,
            "sentence": sentence,
            "padding_mask": padding_mask,
            **stage._noise(ROWS, SEED),
        }
        generated = stage._generate(batch, generator_inputs)
        losses[redescribe], _ = stage.generator_loss(
            generated, batch, generator_inputs, training=False
        )
        singly = [
            mean_word_loss(stage.stream(images, ids), ids, lengths, mean=global_mean)
            for images in generated.outputs["images"]
        ]
    assert singly[0] != singly[1]
    for redescribe, expected in (("last", singly[1]), ("all", np.mean(singly))):
        np.testing.assert_allclose(
            losses[redescribe]["redescription"], expected, rtol=1e-5
        )
