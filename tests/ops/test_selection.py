import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.ops import (
    adam,
    batch_norm,
    convolution,
    joint_convolution,
    selection,
    upsampling,
)
from mirrorgan_tf.ops.selection import Operation, is_fast
from mirrorgan_tf.training.dry_run import random_batch
from mirrorgan_tf.training.glam_stage import GlamStage
from tests.ops.kernels import use_kernels

FAST_VERSIONS = [
    (adam, "_in_order"),
    (batch_norm, "fused_batch_norm"),
    (convolution, "conv2d_by_matmul"),
    (joint_convolution, "joint_conv2d_by_parts"),
    (upsampling, "upsample_conv2d_by_subpixels"),
]


@pytest.mark.parametrize(
    "platform, dtype, expected",
    [
        (("tensorflow", "cpu"), "float32", set(Operation)),
        (("tensorflow", "cpu"), "bfloat16", set(Operation)),
        (("tensorflow", "cpu"), "float64", set(Operation) - {Operation.BATCH_NORM}),
        (("tensorflow", "gpu"), "float32", set()),
        (("tensorflow", "gpu"), "bfloat16", {Operation.JOINT_CONVOLUTION}),
        (("jax", "gpu"), "bfloat16", {Operation.JOINT_CONVOLUTION}),
        (("jax", "cpu"), "float32", set()),
        (("torch", "unknown"), "float32", set()),
    ],
)
def test_fast_versions_run_only_where_they_were_measured_to_be_faster(
    platform, dtype, expected, monkeypatch
):
    monkeypatch.setattr(selection, "_backend_and_device", lambda: platform)
    assert {each for each in Operation if is_fast(each, dtype)} == expected
    with use_kernels("reference"):
        assert not any(is_fast(each, dtype) for each in Operation)


def test_batch_norm_on_several_replicas_takes_the_plain_version(two_replicas):
    assert is_fast(Operation.BATCH_NORM)
    results = two_replicas.run(lambda: tf.constant(is_fast(Operation.BATCH_NORM)))
    assert not any(two_replicas.experimental_local_results(results))


def test_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="choice='fast'; expected one of auto, ref"):
        selection.set_kernels("fast")


def _losses_of_two_steps(config):
    """Of eager steps: tracing takes longer."""
    keras.utils.set_random_seed(0)
    stage = GlamStage.from_config(config, vocabulary_size=9)
    batch = tf.nest.map_structure(tf.constant, random_batch(config, 4, 9))
    for seed in ([0, 1], [0, 2]):
        losses = stage.step(batch, tf.constant(seed))
    return {name: float(loss) for name, loss in losses.items()}


def test_reference_calls_no_fast_version_and_trains_like_auto(tiny_config, monkeypatch):
    calls = []

    def counted(function):
        def call(*args, **kwargs):
            calls.append(function.__name__)
            return function(*args, **kwargs)

        return call

    for module, name in FAST_VERSIONS:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    expected = _losses_of_two_steps(tiny_config)
    assert set(calls) == {name for _, name in FAST_VERSIONS}
    calls.clear()
    with use_kernels("reference"):
        losses = _losses_of_two_steps(tiny_config)
    assert not calls
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, expected[name], rtol=1e-3, err_msg=name)
