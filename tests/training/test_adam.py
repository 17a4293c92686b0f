import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.training.adam import Adam

START = np.linspace(-1, 1, 5)
STEPS = (1.0, -2.0, 0.5, 3.0)


def _gradient(number):
    return number * (np.arange(5.0) - 2) + 0.1


def _closed_form():
    """Variable, momentum and velocity after the steps; the rate halves after two."""
    x, m, v = START.copy(), np.zeros(5), np.zeros(5)
    for t, number in enumerate(STEPS, start=1):
        gradient = _gradient(number)
        m = 0.5 * m + 0.5 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        rate = 0.1 * 0.5 ** ((t - 1) // 2) * np.sqrt(1 - 0.999**t) / (1 - 0.5**t)
        x -= rate * m / (np.sqrt(v) + 1e-7)
    return x, m, v


@pytest.mark.parametrize("replicas", [1, 2])
def test_steps_are_those_of_the_closed_form(replicas, two_replicas):
    strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)
    with strategy.scope():
        dense = keras.Variable(START)
        rows = keras.Variable(START[:, None])
        optimizer = Adam(schedule, beta_1=0.5)
        optimizer.build([dense, rows])

    def step(gradient):
        # Optimizers sum over replicas. The second is that of an embedding.
        share = gradient / replicas
        sparse = tf.IndexedSlices(share[:, None], tf.range(5), tf.constant([5, 1]))
        optimizer.apply([share, sparse], [dense, rows])

    run = tf.function(lambda gradient: strategy.run(step, (gradient,)))
    for number in STEPS:
        run(tf.constant(_gradient(number)))
    x, m, v = _closed_form()
    assert optimizer.iterations.numpy() == len(STEPS)
    np.testing.assert_allclose(dense.numpy(), x, rtol=1e-7)
    np.testing.assert_allclose(rows.numpy()[:, 0], x, rtol=1e-7)
    np.testing.assert_allclose(optimizer._momentums[0].numpy(), m, rtol=1e-12)
    np.testing.assert_allclose(optimizer._velocities[0].numpy(), v, rtol=1e-12)


def test_variables_are_those_of_keras():
    weights = [keras.Variable(START), keras.Variable(START[:, None])]
    layouts = []
    for kind in (keras.optimizers.Adam, Adam):
        optimizer = kind(0.1)
        optimizer.build(weights)
        layouts.append([(v.name, v.shape, v.dtype) for v in optimizer.variables])
    assert layouts[0] == layouts[1]
