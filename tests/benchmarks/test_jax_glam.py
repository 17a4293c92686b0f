import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.glam_networks import VOCABULARY_SIZE, build_networks
from mirrorgan_tf import networks
from mirrorgan_tf.training.glam_stage import GlamStage
from tests.benchmarks.one_jax_step import flatten, initial_variables
from tests.conftest import ROOT


def _inputs(config):
    random = np.random.default_rng(0)
    # One caption is empty.
    lengths = np.array([6, 1, 0, 4], np.int32)
    ids = random.integers(1, VOCABULARY_SIZE, (4, config.text.max_words)).astype(
        np.int32
    )
    return {
        "images": [
            random.uniform(-1, 1, (4, size, size, 3)).astype(np.float32)
            for size in config.sizes
        ],
        "ids": ids * (np.arange(config.text.max_words) < lengths[:, None]),
        "lengths": lengths,
        "class_ids": np.array([0, 1, 1, 2], np.int32),
        "shift_numbers": random.uniform(size=(4, 2, 2)).astype(np.float32),
        "noise": random.standard_normal((4, config.generator.noise_dim), np.float32),
        "condition_noise": random.standard_normal(
            (4, config.generator.condition_dim), np.float32
        ),
    }


def _trained(stage):
    """The stage's variables, nested like `JaxGlam.trained`."""

    def values(model):
        return {
            "weights": [v.numpy() for v in model.trainable_variables],
            "statistics": [v.numpy() for v in model.non_trainable_variables],
        }

    def slots(optimizer):
        return [v.numpy() for v in optimizer.variables]

    return {
        "glam": values(stage.glam),
        "glam_ema": values(stage.glam_ema),
        "generator_optimizer": slots(stage.generator_optimizer),
        "discriminators": [values(each) for each in stage.all_discriminators],
        "discriminator_optimizers": list(map(slots, stage.discriminator_optimizers)),
    }


def _clear_gradients(stage):
    """Masks of the weights with gradients above rounding, by path."""
    models = {
        "glam": stage.generator_optimizer,
        "glam_ema": stage.generator_optimizer,
    } | {
        f"discriminators/{i}": optimizer
        for i, optimizer in enumerate(stage.discriminator_optimizers)
    }
    return {
        f"trained/{model}/weights/{i}": np.abs(slope) > 1e-3 * np.abs(slope).max()
        for model, optimizer in models.items()
        for i, slope in enumerate(v.numpy() for v in optimizer._momentums)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            # Without the second scale, which the first case has.
            "scales": 1,
            "image_encoder_weights": "backbone",
            "stream_encoder_weights": "stem",
            "feature_discriminator": "image_encoder",
            "feature_discriminator_width": 2,
            "feature_discriminator_weight": 2.0,
            "adversarial_loss": "hinge",
            "damsm_weight": 0.5,
            "ema_warm_up": True,
            "r1_weight": 0.5,
            # Adam's first update is the learning rate even where a gradient is only
            # rounding: a larger rate would change these losses, which are near 0.
            "discriminator_learning_rate": 1e-8,
            "discriminator_normalization": False,
            "frozen_view_shift": 0.1,
            "glam_schedule": "cosine",
        },
    ],
    ids=["paper", "feature discriminators"],
)
def test_jax_step_equals_tensorflow_step(settings, tiny_config, tmp_path):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    # Make the average move by more than rounding.
    config = tiny_config.replace(ema_decay=0.5, **settings)
    keras.utils.set_random_seed(0)
    models = build_networks(config, cnn=True)
    # With small sentence vectors the KL term would be only rounding.
    words = models["stem"].embedding.embeddings
    words.assign(20 * words)
    encoder = {"image_encoder": networks.build_image_encoder(config)}
    stage = GlamStage(config, **encoder | models)
    if stage.feature_discriminators:
        models["feature_discriminators"] = stage.feature_discriminators
    inputs = _inputs(config)
    np.savez(
        tmp_path / "inputs.npz",
        config=json.dumps(config.to_flags()),
        **flatten(inputs),
        **{name: v.numpy() for name, v in initial_variables(models).items()},
    )
    # Sizes are small: optimising takes longer than computing.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "KERAS_BACKEND": "jax"}
    process = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks.one_jax_step"),
            *(tmp_path / "inputs.npz", tmp_path / "out.npz"),
        ],
        cwd=ROOT,
        env=os.environ | quick,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout.splitlines()[-1]) == {"tensorflow": False}

    stage._noise = lambda batch_size, seed: {
        name: inputs[name] for name in ("noise", "condition_noise")
    }
    ids, lengths = inputs["ids"][:, None], inputs["lengths"][:, None]
    batch = {
        "images": inputs["images"],
        "caption_ids": ids,
        "caption_lengths": lengths,
        "text": {"ids": ids, "lengths": lengths},
        "class_ids": inputs["class_ids"],
    }
    stage._augmentation_numbers = lambda *arguments: {
        "shift_numbers": inputs["shift_numbers"]
    }
    losses = stage.step(tf.nest.map_structure(tf.constant, batch), tf.constant([0, 0]))
    stage.after_step(tf.constant(0))
    expected = flatten({"losses": losses, "trained": _trained(stage)})
    clear = _clear_gradients(stage)
    with np.load(tmp_path / "out.npz") as results:
        assert set(results.files) == set(expected)
        for name, expected_value in expected.items():
            value = results[name]
            if name in clear:
                # Adam's first update is the learning rate whatever the gradient; where
                # the gradient is only rounding its sign is arbitrary.
                value, expected_value = value[clear[name]], expected_value[clear[name]]
                np.testing.assert_allclose(
                    value, expected_value, atol=2e-6, err_msg=name
                )
            else:
                atol = 1e-4 * np.abs(expected_value).max()
                np.testing.assert_allclose(
                    value, expected_value, atol=atol, err_msg=name
                )
