import os
import resource
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.checkpoints import (
    StageCheckpoints,
    restore_part,
    saved_step,
)
from tests.models.small_models import MODELS


def _networks(seed, width=2):
    """Stand-ins for the networks of stage glam, which take a second to build."""
    keras.utils.set_random_seed(seed)

    def network():
        return keras.Sequential(
            [
                keras.Input((32,)),
                keras.layers.Dense(16 * width),
                keras.layers.BatchNormalization(),
            ]
        )

    return {"glam": network(), "discriminators": [network(), network()]}


def _weights(networks):
    models = [networks["glam"], *networks["discriminators"]]
    return [weight for model in models for weight in model.get_weights()]


def _small_models(seed):
    """Models that have lists of layers, with random weights."""
    random = np.random.default_rng(seed)
    models = []
    for name in ("glam", "discriminator"):
        build, inputs = MODELS[name]
        model = build()
        model(*inputs)
        model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
        models.append(model)
    return {"glam": models[0], "discriminators": models[1:]}


def test_restore_brings_back_every_weight(tmp_path):
    saved, loaded = _small_models(1), _small_models(2)
    checkpoints = StageCheckpoints(tmp_path, saved, keep=1)
    checkpoints.step.assign(7)
    checkpoints.save()
    assert StageCheckpoints(tmp_path, loaded, keep=1).restore() == 7
    for a, b in zip(_weights(saved), _weights(loaded), strict=True):
        np.testing.assert_array_equal(a, b)


def test_restore_part_leaves_other_networks_alone(tmp_path):
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


def test_checkpoint_of_other_networks_is_refused(tmp_path):
    StageCheckpoints(tmp_path, _networks(1), keep=1).save()
    with pytest.raises(UserError, match="of other networks"):
        StageCheckpoints(tmp_path, _networks(1, width=4), keep=1).restore()
    fewer = _networks(1)
    fewer["discriminators"].pop()
    with pytest.raises(UserError, match="of other networks"):
        StageCheckpoints(tmp_path, fewer, keep=1).restore()


def test_save_keeps_only_the_newest_checkpoints(tmp_path):
    checkpoints = StageCheckpoints(tmp_path, _networks(1), keep=2)
    for step in (3, 6, 9):
        checkpoints.step.assign(step)
        checkpoints.save()
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "ckpt-6.index",
        "ckpt-9.index",
    ]
    assert saved_step(tmp_path) == 9


def test_missing_stage_is_an_error_that_names_the_stage(tmp_path):
    assert saved_step(tmp_path / "stem") == 0
    with pytest.raises(UserError, match="train stage stem first"):
        restore_part(tmp_path / "stem", {})


def _save_steps(folder, *steps):
    """Saves checkpoints of networks in which every weight equals the step."""
    networks = _networks(1)
    checkpoints = StageCheckpoints(folder, networks, keep=9)
    for step in steps:
        checkpoints.step.assign(step)
        _fill(networks, step)
        checkpoints.save()
    return checkpoints


def _fill(networks, number):
    for model in (networks["glam"], *networks["discriminators"]):
        model.set_weights([np.full_like(w, number) for w in model.get_weights()])


def _damage(folder, how):
    data = folder / "ckpt-6.data-00000-of-00001"
    index = folder / "ckpt-6.index"
    if how in ("data", "index"):
        (data if how == "data" else index).unlink()
    elif how == "short":
        data.write_bytes(data.read_bytes()[:-9])
    elif how == "empty":
        index.write_bytes(b"")


@pytest.mark.parametrize("how", ["data", "index", "short", "empty"])
def test_restore_falls_back_to_the_checkpoint_before_a_damaged_one(
    tmp_path, how, caplog
):
    _save_steps(tmp_path, 3, 6)
    _damage(tmp_path, how)
    networks = _networks(2)
    assert StageCheckpoints(tmp_path, networks, keep=9).restore() == 3
    assert all((weight == 3).all() for weight in _weights(networks))
    assert "ckpt-6: the checkpoint cannot be read" in caplog.text
    assert "ckpt-3 instead" in caplog.text
    assert saved_step(tmp_path) == 3
    assert restore_part(tmp_path, {"glam": networks["glam"]}) == 3


@pytest.mark.parametrize(
    ("name", "steps"),
    # Some bytes of the index are padding.
    [("ckpt-6.data-00000-of-00001", {3}), ("ckpt-6.index", {3, 6})],
)
def test_flipped_byte_never_loads_wrong_weights(tmp_path, name, steps):
    _save_steps(tmp_path, 3, 6)
    path = tmp_path / name
    content = path.read_bytes()
    networks = _networks(2)
    checkpoints = StageCheckpoints(tmp_path, networks, keep=9)
    for position in np.random.default_rng(0).integers(len(content), size=15):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        step = checkpoints.restore()
        assert step in steps
        assert all((weight == step).all() for weight in _weights(networks))
    path.write_bytes(content)
    assert checkpoints.restore() == 6


def test_error_instead_of_a_new_start_if_no_checkpoint_is_readable(tmp_path):
    _save_steps(tmp_path, 3, 6)
    for path in tmp_path.glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:-1])
    for read in (
        lambda: saved_step(tmp_path),
        StageCheckpoints(tmp_path, _networks(1), keep=9).restore,
        lambda: restore_part(tmp_path, {}),
    ):
        with pytest.raises(UserError, match="cannot be read .*nor can any earlier one"):
            read()
    for path in tmp_path.glob("ckpt-*"):
        path.unlink()
    with pytest.raises(UserError, match="are not there; bring them back"):
        saved_step(tmp_path)


@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_error_about_another_floatx_says_the_checkpoint_is_intact(tmp_path, floatx):
    _save_steps(tmp_path, 3)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    try:
        networks = _networks(1)
        readers = (
            StageCheckpoints(tmp_path, networks, keep=9).restore,
            lambda: restore_part(tmp_path, {"glam": networks["glam"]}),
        )
        for read in readers:
            with pytest.raises(UserError, match=f"intact: keep.* is {floatx}") as error:
                read()
            assert "remove" not in str(error.value)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    assert saved_step(tmp_path) == 3
    assert files == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_git_lfs_pointer_in_place_of_a_checkpoint_is_named(tmp_path):
    _save_steps(tmp_path, 3)
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match="is a Git LFS pointer"):
        saved_step(tmp_path)


def test_newest_checkpoint_is_used_without_tensorflows_list_file(tmp_path):
    _save_steps(tmp_path, 9, 10)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-10")
    (tmp_path / "checkpoint").unlink()
    assert saved_step(tmp_path) == 10


def test_save_replaces_an_unreadable_checkpoint(tmp_path):
    _save_steps(tmp_path, 3, 6)
    _damage(tmp_path, "short")
    checkpoints = StageCheckpoints(tmp_path, _networks(1), keep=2)
    checkpoints.step.assign(checkpoints.restore() + 1)
    checkpoints.save()
    assert {path.stem for path in tmp_path.glob("*.index")} == {"ckpt-3", "ckpt-4"}


def test_order_of_checkpoints_does_not_depend_on_the_clock(tmp_path, monkeypatch):
    checkpoints = _save_steps(tmp_path, 3, 6)
    for path in tmp_path.glob("ckpt-6.*"):
        os.utime(path, (0, 0))
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert checkpoints.restore() == 6
    checkpoints.step.assign(8)
    checkpoints.save()
    assert saved_step(tmp_path) == 8


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_file_size_limit_leaves_the_checkpoint_before_intact(tmp_path, share):
    checkpoints = _save_steps(tmp_path, 3)
    size = (tmp_path / "ckpt-3.data-00000-of-00001").stat().st_size
    checkpoints.step.assign(6)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), hard))
    try:
        with pytest.raises(UserError, match="step 6 cannot be written.*make room"):
            checkpoints.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {
        "ckpt-3",
        "checkpoint",
    }
    assert saved_step(tmp_path) == 3
    checkpoints.save()
    assert saved_step(tmp_path) == 6


def test_checkpoint_without_a_count_of_rollbacks_is_restored(tmp_path):
    step = tf.Variable(5, dtype=tf.int64)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    values = [variable.value for variable in model.variables]
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(step=step, model=values), str(tmp_path), max_to_keep=1
    )
    manager.save(checkpoint_number=5)
    checkpoints = StageCheckpoints(tmp_path, {"model": model}, keep=1)
    assert checkpoints.restore() == 5
    assert checkpoints.rollbacks.numpy() == 0


def test_not_finite_names_networks_with_infinite_weights(tmp_path):
    networks = _networks(1)
    checkpoints = StageCheckpoints(tmp_path, networks, keep=1)
    assert checkpoints.not_finite() == []
    weights = networks["discriminators"][1].get_weights()
    weights[-1].flat[0] = np.inf
    networks["discriminators"][1].set_weights(weights)
    assert checkpoints.not_finite() == ["discriminators"]
