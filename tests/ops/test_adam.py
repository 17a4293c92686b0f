import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.ops.adam import Adam
from tests.ops.kernels import use_kernels

START = np.linspace(-1, 1, 5)
STEPS = (1.0, -2.0, 0.5, 3.0)


def _gradient(number):
    return number * (np.arange(5.0) - 2) + 0.1


def _closed_form(x, gradients, rates):
    """Variable, momentum and velocity after the steps."""
    m = v = 0
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = 0.5 * m + 0.5 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.5**t)
        x = x - corrected * m / (np.sqrt(v) + 1e-7)
    return x, m, v


# Keras rounds its hyperparameters to float32: 1 - 0.999 has an error of 1.3e-5.
@pytest.mark.parametrize("kernels, rtol", [("auto", 1e-12), ("reference", 2e-5)])
@pytest.mark.parametrize("replicas", [1, 2])
def test_updates_match_the_closed_form(replicas, kernels, rtol, two_replicas):
    strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)
    with strategy.scope():
        dense = keras.Variable(START)
        rows = keras.Variable(START[:, None])
        optimizer = Adam(schedule, beta_1=0.5)
        optimizer.build([dense, rows])

    def step(gradient):
        # Optimizers sum over replicas. The second gradient is like an embedding's.
        share = gradient / replicas
        sparse = tf.IndexedSlices(share[:, None], tf.range(5), tf.constant([5, 1]))
        optimizer.apply([share, sparse], [dense, rows])

    run = tf.function(lambda gradient: strategy.run(step, (gradient,)))
    with use_kernels(kernels):
        for number in STEPS:
            run(tf.constant(_gradient(number)))
    # The learning rate halves after two steps.
    gradients = [_gradient(number) for number in STEPS]
    x, m, v = _closed_form(START, gradients, (0.1, 0.1, 0.05, 0.05))
    assert optimizer.iterations.numpy() == len(STEPS)
    np.testing.assert_allclose(dense.numpy(), x, rtol=max(rtol, 1e-7))
    np.testing.assert_allclose(rows.numpy()[:, 0], x, rtol=max(rtol, 1e-7))
    np.testing.assert_allclose(optimizer._momentums[0].numpy(), m, rtol=rtol)
    np.testing.assert_allclose(optimizer._velocities[0].numpy(), v, rtol=rtol)


@pytest.mark.parametrize(
    "strategy",
    [
        tf.distribute.get_strategy,
        lambda: tf.distribute.OneDeviceStrategy("cpu:0"),
        lambda: tf.distribute.MirroredStrategy(["cpu:0"]),
    ],
    ids=["none", "one_device", "mirrored"],
)
def test_large_bfloat16_gradients_update_their_own_weights_without_a_cast(strategy):
    shape = 2**17, 2
    # Values that bfloat16 represents exactly, also times those of the steps.
    slopes = np.tile(_gradient(1.0), shape[0])[: shape[0] * shape[1]].reshape(shape)
    slopes = [tf.constant(slopes * sign, tf.bfloat16) for sign in (1, -2)]
    strategy = strategy()
    with strategy.scope():
        # Two of one shape: the update traced for the first must not move the first
        # when it is called for the second.
        weights = [keras.Variable(np.ones(shape, np.float32)) for _ in slopes]
        optimizers = [Adam(0.1, beta_1=0.5) for _ in slopes]
        for optimizer, variable in zip(optimizers, weights, strict=True):
            optimizer.build([variable])

    def step(number):
        for optimizer, variable, slope in zip(optimizers, weights, slopes, strict=True):
            with tf.GradientTape() as tape:
                half = tf.cast(variable.value, tf.bfloat16)
                total = tf.reduce_sum(half * slope * number)
            optimizer.apply(tape.gradient(total, [variable.value]), [variable])

    run = tf.function(lambda number: strategy.run(step, (number,)), autograph=False)
    steps = 1.0, -2.0, 0.5
    for number in steps:
        run(tf.constant(number, tf.bfloat16))
    for optimizer, variable, slope in zip(optimizers, weights, slopes, strict=True):
        gradients = [number * slope.numpy().astype(np.float64) for number in steps]
        x, m, v = _closed_form(np.ones(shape), gradients, (0.1, 0.1, 0.1))
        np.testing.assert_allclose(variable.numpy(), x, rtol=2e-5)
        np.testing.assert_allclose(optimizer._momentums[0].numpy(), m, rtol=2e-5)
        # 1 - 0.999 has an error of 1.3e-5 in float32.
        np.testing.assert_allclose(optimizer._velocities[0].numpy(), v, rtol=2e-5)
    graph = run.get_concrete_function(tf.constant(1.0, tf.bfloat16)).graph
    types = [operation.type for operation in graph.get_operations()]
    # Mirrored variables must not go through the traced update.
    mirrored = isinstance(strategy, tf.distribute.MirroredStrategy)
    assert ("ResourceApplyAdam" in types) == mirrored


def test_variables_equal_those_of_keras_adam():
    weights = [keras.Variable(START), keras.Variable(START[:, None])]
    layouts = []
    for kind in (keras.optimizers.Adam, Adam):
        optimizer = kind(0.1)
        optimizer.build(weights)
        layouts.append([(v.name, v.shape, v.dtype) for v in optimizer.variables])
    assert layouts[0] == layouts[1]
