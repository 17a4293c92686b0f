import keras
import numpy as np
import pytest

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.training.checkpoints import (
    StageCheckpoints,
    restore_part,
    saved_step,
)


def _networks(seed, width=2):
    keras.utils.set_random_seed(seed)
    glam = Glam(base_size=16, stages=2, width=width, noise_dim=3, condition_dim=4)
    glam(
        np.zeros((1, 5, 6), np.float32),
        np.zeros((1, 6), np.float32),
        np.zeros((1, 3), np.float32),
        np.zeros((1, 4), np.float32),
    )
    discriminators = [Discriminator(size, width=2) for size in glam.sizes]
    for size, discriminator in zip(glam.sizes, discriminators, strict=True):
        discriminator(
            np.zeros((1, size, size, 3), np.float32), np.zeros((1, 6), np.float32)
        )
    random = np.random.default_rng(seed)
    for model in (glam, *discriminators):
        model.set_weights(
            [random.normal(size=weight.shape) for weight in model.get_weights()]
        )
    return {"glam": glam, "discriminators": discriminators}


def _weights(networks):
    models = [networks["glam"], *networks["discriminators"]]
    return [weight for model in models for weight in model.get_weights()]


def test_every_weight_comes_back(tmp_path):
    saved, loaded = _networks(1), _networks(2)
    checkpoints = StageCheckpoints(tmp_path, saved, keep=1)
    checkpoints.step.assign(7)
    checkpoints.save()
    assert StageCheckpoints(tmp_path, loaded, keep=1).restore() == 7
    for a, b in zip(_weights(saved), _weights(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_part_comes_back_alone(tmp_path):
    saved, loaded = _networks(1), _networks(2)
    checkpoints = StageCheckpoints(tmp_path, saved, keep=1)
    checkpoints.save()
    restore_part(tmp_path, {"glam": loaded["glam"]})
    for a, b in zip(
        saved["glam"].get_weights(), loaded["glam"].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    other = _networks(2)["discriminators"][0].get_weights()
    for a, b in zip(loaded["discriminators"][0].get_weights(), other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_networks_are_refused(tmp_path):
    StageCheckpoints(tmp_path, _networks(1), keep=1).save()
    with pytest.raises(UserError, match="of other networks"):
        StageCheckpoints(tmp_path, _networks(1, width=4), keep=1).restore()
    fewer = _networks(1)
    fewer["discriminators"].pop()
    with pytest.raises(UserError, match="of other networks"):
        StageCheckpoints(tmp_path, fewer, keep=1).restore()


def test_only_the_last_checkpoints_are_kept(tmp_path):
    checkpoints = StageCheckpoints(tmp_path, _networks(1), keep=2)
    for step in (3, 6, 9):
        checkpoints.step.assign(step)
        checkpoints.save()
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "ckpt-6.index",
        "ckpt-9.index",
    ]
    assert saved_step(tmp_path) == 9


def test_a_missing_stage_says_what_to_train(tmp_path):
    assert saved_step(tmp_path / "stem") == 0
    with pytest.raises(UserError, match="train stage stem first"):
        restore_part(tmp_path / "stem", {})
