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

SETTINGS = {
    "paper": {},
    "feature discriminators": {
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
}


def _inputs(config):
    random = np.random.default_rng(0)
    max_words = config.text.max_words
    # One caption is empty.
    lengths = np.array([6, 1, 0, 4], np.int32)
    ids = random.integers(1, VOCABULARY_SIZE, (4, max_words)).astype(np.int32)
    return {
        "images": [
            random.uniform(-1, 1, (4, size, size, 3)).astype(np.float32)
            for size in config.sizes
        ],
        "ids": ids * (np.arange(max_words) < lengths[:, None]),
        "lengths": lengths,
        "class_ids": np.array([0, 1, 1, 2], np.int32),
        "shift_numbers": random.uniform(size=(4, 2, 2)).astype(np.float32),
        "noise": random.standard_normal((4, config.generator.noise_dim), np.float32),
        "condition_noise": random.standard_normal(
            (4, config.generator.condition_dim), np.float32
        ),
    }


def _updated_variables(stage):
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


def _build_stage(config, inputs, folder):
    """A stage that uses these inputs; writes them and the weights for JAX."""
    keras.utils.set_random_seed(0)
    models = build_networks(config, cnn=True)
    # With small sentence vectors the KL term would be only rounding.
    words = models["stem"].embedding.embeddings
    words.assign(20 * words)
    encoder = {"image_encoder": networks.build_image_encoder(config)}
    stage = GlamStage(config, **encoder | models)
    if stage.feature_discriminators:
        models["feature_discriminators"] = stage.feature_discriminators
    folder.mkdir()
    np.savez(
        folder / "inputs.npz",
        config=json.dumps(config.to_flags()),
        **flatten(inputs),
        **{name: v.numpy() for name, v in initial_variables(models).items()},
    )
    noise = {name: inputs[name] for name in ("noise", "condition_noise")}
    shifts = {"shift_numbers": inputs["shift_numbers"]}
    stage._noise = lambda batch_size, seed: noise
    stage._augmentation_numbers = lambda batch_size, seed: shifts
    return stage


def _tensorflow_step(stage, inputs):
    """Losses and updated variables by path."""
    ids, lengths = inputs["ids"][:, None], inputs["lengths"][:, None]
    batch = {
        "images": inputs["images"],
        "caption_ids": ids,
        "caption_lengths": lengths,
        "text": {"ids": ids, "lengths": lengths},
        "class_ids": inputs["class_ids"],
    }
    losses = stage.step(tf.nest.map_structure(tf.constant, batch), tf.constant([0, 0]))
    stage.after_step(tf.constant(0))
    return flatten({"losses": losses, "trained": _updated_variables(stage)})


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)
def test_jax_steps_equal_tensorflow_steps(tiny_config, tmp_path):
    stages, inputs = {}, {}
    for name, settings in SETTINGS.items():
        # Make the average move by more than rounding.
        config = tiny_config.replace(ema_decay=0.5, **settings)
        inputs[name] = _inputs(config)
        stages[name] = _build_stage(config, inputs[name], tmp_path / name)
    # Sizes are small: optimising takes longer than computing.
    settings = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "KERAS_BACKEND": "jax"}
    folders = [tmp_path / name for name in SETTINGS]
    process = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.one_jax_step", *folders],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout.splitlines()[-1]) == {"tensorflow": False}
    for name, stage in stages.items():
        expected = _tensorflow_step(stage, inputs[name])
        clear = _clear_gradients(stage)
        with np.load(tmp_path / name / "outputs.npz") as results:
            assert set(results.files) == set(expected)
            for path, value in expected.items():
                result, atol = results[path], 1e-4 * np.abs(value).max()
                if path in clear:
                    # Adam's first update is the learning rate whatever the gradient;
                    # where the gradient is only rounding its sign is arbitrary.
                    result, value, atol = result[clear[path]], value[clear[path]], 2e-6
                np.testing.assert_allclose(
                    result, value, atol=atol, err_msg=f"{name}: {path}"
                )
