import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.training.ema import update_average


def _model():
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )


@pytest.mark.parametrize("warm_up", [False, True])
def test_average_follows_the_recursive_formula(warm_up):
    average, model = _model(), _model()
    average.set_weights(model.get_weights())
    expected = [weight.copy() for weight in model.get_weights()]
    random = np.random.default_rng(0)
    for step in range(30):
        values = [random.normal(size=weight.shape) for weight in expected]
        model.set_weights(values)
        update_average(
            average, model, decay=0.6, step=tf.constant(step), warm_up=warm_up
        )
        decay = min(0.6, (1 + step) / (10 + step)) if warm_up else 0.6
        expected = [
            decay * mean + (1 - decay) * value
            for mean, value in zip(expected, values, strict=True)
        ]
    for mean, weight in zip(expected, average.get_weights(), strict=True):
        np.testing.assert_allclose(weight, mean, rtol=1e-5, atol=1e-6)
