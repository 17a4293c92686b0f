import json

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training import distribution
from mirrorgan_tf.training.accumulation import micro_batches
from mirrorgan_tf.training.optimizers import clip_gradients

SEED = (3, 4)


def _run(strategy, function, *values):
    """Runs on a global batch; returns the replicas' results in order."""
    dataset = tf.data.Dataset.from_tensors(values)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
    results = tf.function(lambda: strategy.run(function, args=batch))()
    return strategy.experimental_local_results(results)


def test_replicas_shares_add_up_to_the_global_weighted_mean(two_replicas):
    values = np.arange(8, dtype=np.float32)
    weights = np.array([1, 0, 2, 0, 0, 0, 0, 1], np.float32)
    shares = _run(two_replicas, distribution.global_mean, values, weights)
    assert len(shares) == 2
    assert sum(shares).numpy() == pytest.approx(np.average(values, weights=weights))
    nothing = _run(
        two_replicas, distribution.global_mean, values, np.zeros(8, np.float32)
    )
    assert sum(nothing).numpy() == 0


def test_next_example_crosses_the_borders_of_replicas(two_replicas):
    sentences = np.arange(12, dtype=np.float32).reshape(6, 2)
    results = _run(two_replicas, distribution.next_example, sentences)
    rows = np.concatenate([rows.numpy() for rows, _ in results])
    weights = np.concatenate([weights.numpy() for _, weights in results])
    np.testing.assert_array_equal(rows[:5], sentences[1:])
    np.testing.assert_array_equal(weights, [1, 1, 1, 1, 1, 0])


@pytest.mark.parametrize(
    "random", [distribution.example_normal, distribution.example_uniform]
)
def test_random_numbers_of_two_replicas_are_those_of_one(two_replicas, random):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")

    def noise(x):
        return random((x.shape[0], 5), seed=tf.constant(SEED))

    batch = np.zeros(6, np.float32)
    halves = [half.numpy() for half in _run(two_replicas, noise, batch)]
    assert halves[0].shape == (3, 5)
    assert not np.isclose(halves[0], halves[1]).any()
    (whole,) = _run(one, noise, batch)
    np.testing.assert_array_equal(np.concatenate(halves), whole.numpy())


def test_example_normal_has_mean_0_and_deviation_1():
    numbers = distribution.example_normal((400, 50), seed=tf.constant(SEED)).numpy()
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02


def test_micro_batches_have_the_same_rows_on_one_and_two_replicas(two_replicas):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")

    def first_micro_batch(rows):
        return distribution.gather_examples(micro_batches(rows, 2)[0])

    batch = np.arange(8, dtype=np.float32)
    (whole,) = _run(one, first_micro_batch, batch)
    np.testing.assert_array_equal(whole, [0, 2, 4, 6])
    for gathered in _run(two_replicas, first_micro_batch, batch):
        np.testing.assert_array_equal(gathered, whole)


def test_clipping_uses_the_gradient_of_the_global_batch(two_replicas):
    gradient = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)

    def clip(row):
        clipped, losses = clip_gradients([row[0]], 2.5)
        return clipped[0], losses["gradient_norm"]

    results = _run(two_replicas, clip, gradient)
    summed = sum(clipped.numpy() for clipped, _ in results)
    np.testing.assert_allclose(summed, np.array([3.0, 4.0]) / 2, rtol=1e-6)
    # Shares of a norm of 5.
    assert [norm.numpy() for _, norm in results] == pytest.approx([2.5, 2.5])


def test_gather_examples_keeps_the_order_and_passes_gradients(two_replicas):
    values = np.array([1.0, 2.0, 3.0, 4.0], np.float32)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            everything = distribution.gather_examples(x)
            weights = tf.range(1.0, 5.0)
            loss = tf.reduce_sum(weights * everything**2) / 2
        return everything, tape.gradient(loss, x)

    results = _run(two_replicas, gradient, values)
    for everything, _ in results:
        np.testing.assert_array_equal(everything, values)
    gradients = np.concatenate([gradient.numpy() for _, gradient in results])
    # Both replicas' losses depend on every example: the gradient is their sum's.
    np.testing.assert_allclose(gradients, np.arange(1, 5) * 2 * values)


def test_batch_size_that_replicas_do_not_divide_is_refused(two_replicas):
    with pytest.raises(UserError, match="--glam_batch_size=5"):
        distribution.check_batch_size("glam_batch_size", 5, two_replicas)
    distribution.check_batch_size("glam_batch_size", 6, two_replicas)
    with pytest.raises(UserError, match="2 replicas times --accumulate_steps=2"):
        distribution.check_batch_size("g", 6, two_replicas, micro_batches=2)
    with pytest.raises(UserError, match="such as 4 or 6$"):
        distribution.check_batch_size("g", 5, two_replicas)
    # Smaller ones would leave micro-batches of one image.
    with pytest.raises(UserError, match="such as 8$"):
        distribution.check_batch_size("g", 7, two_replicas, micro_batches=4)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    with pytest.raises(UserError, match="--accumulate_steps=4: leaves less than 2"):
        distribution.check_batch_size("g", 4, one, micro_batches=4)


def test_strategy_setting_chooses_the_number_of_replicas():
    devices = tf.config.list_logical_devices("CPU")
    mirrored = distribution.make_strategy(Config())
    assert mirrored.num_replicas_in_sync == len(devices) == 2
    one = distribution.make_strategy(Config.from_flags(strategy="one_device"))
    assert isinstance(one, tf.distribute.OneDeviceStrategy)


def test_mirrored_strategy_on_one_device_is_one_device_strategy(monkeypatch):
    devices = tf.config.list_logical_devices("CPU")[:1]
    monkeypatch.setattr(
        tf.config,
        "list_logical_devices",
        lambda kind: devices if kind == "CPU" else [],
    )
    strategy = distribution.make_strategy(Config.from_flags(jit_compile=True))
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    (device,) = strategy.extended.worker_devices
    assert device.endswith(devices[0].name)


def test_jit_compile_is_refused_with_several_devices(monkeypatch):
    with pytest.raises(UserError, match="--jit_compile: not with .* on 2 devices"):
        distribution.make_strategy(Config.from_flags(jit_compile=True))
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(UserError, match="--jit_compile: not with .*=multi_worker"):
        distribution.make_strategy(
            Config.from_flags(jit_compile=True, strategy="multi_worker")
        )
