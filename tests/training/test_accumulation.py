import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models.batch_norm import BatchNormalization
from mirrorgan_tf.models.spectral_norm import SpectralConv2D
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.glam_stage import GlamStage
from tests.conftest import normal

MOMENTUM = 0.9


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("calls", [1, 3])
def test_moving_averages_move_once_per_call_by_the_mean_of_the_moments(count, calls):
    norm = BatchNormalization(momentum=MOMENTUM)
    norm.build((None, 3))
    norm.moving_mean.assign(normal(3, seed=1))
    norm.moving_variance.assign(np.abs(normal(3, seed=2)))
    x = normal(8, 3)
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()

    def gradients_of(part):
        total = 0.0
        for call in range(1, calls + 1):
            total += tf.reduce_sum(norm(call * part, training=True))
        return {"loss": total}, []

    tf.function(lambda: accumulate(micro_batches(x, count), gradients_of))()
    parts = [x[j::count] for j in range(count)]
    for call in range(1, calls + 1):
        moments = [(np.mean(call * p, 0), np.var(call * p, 0)) for p in parts]
        new_mean, new_variance = np.mean(moments, axis=0)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * new_mean
        variance = MOMENTUM * variance + (1 - MOMENTUM) * new_variance
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)


def test_spectral_norm_makes_one_power_iteration_per_step():
    once, accumulated = (SpectralConv2D(4, 3) for _ in range(2))
    kernel = normal(3, 3, 2, 4)
    for layer in (once, accumulated):
        layer.build((None, 5, 5, 2))
        layer.kernel.assign(kernel)
    x = normal(6, 5, 5, 2)
    once(x, training=True)

    def gradients_of(part):
        return {"loss": tf.reduce_sum(accumulated(part, training=True))}, []

    tf.function(lambda: accumulate(micro_batches(x, 3), gradients_of))()
    assert np.abs(once.direction - np.full(4, 0.5)).max() > 0.01
    np.testing.assert_allclose(accumulated.direction, once.direction, atol=1e-6)


def test_untrained_state_of_a_glam_step_equals_that_without_micro_batches(
    tiny_config, monkeypatch
):
    """Every row twice, side by side: both micro-batches are the batch of two."""
    monkeypatch.setattr(
        GlamStage,
        "_noise",
        lambda self, rows, seed: {
            "noise": tf.ones((rows, 8)),
            "condition_noise": tf.ones((rows, 8)),
        },
    )
    ids = np.array([[[1, 2, 0, 0, 0, 0]], [[3, 1, 2, 0, 0, 0]]], np.int32)
    lengths = np.array([[2], [3]], np.int32)
    batch = {
        "images": (np.tanh(normal(2, 16, 16, 3)),),
        "caption_ids": ids,
        "caption_lengths": lengths,
        "text": {"ids": ids, "lengths": lengths},
    }
    twice = tf.nest.map_structure(lambda rows: np.repeat(rows, 2, axis=0), batch)
    states = []
    for fed, count in ((batch, 1), (twice, 2)):
        keras.utils.set_random_seed(0)
        config = tiny_config.replace(
            scales=1,
            spectral_norm=True,
            accumulate_steps=count,
            # Blocks that run again for their gradients move nothing either.
            remat=count > 1,
        )
        stage = GlamStage.from_config(config, 5)
        # The weights stay, so that only the forward passes move anything.
        stage.generator_optimizer = keras.optimizers.SGD(0.0)
        stage.discriminator_optimizers = [keras.optimizers.SGD(0.0)]
        fed = tf.nest.map_structure(tf.constant, fed)
        # Once eagerly, as tracing takes longer.
        step = stage.step if count == 1 else tf.function(stage.step, autograph=False)
        step(fed, tf.constant([0, 0]))
        models = [stage.glam, *stage.discriminators]
        states.append([v for m in models for v in m.non_trainable_variables])
    assert len(states[0]) > 10
    for without, accumulated in zip(*states, strict=True):
        np.testing.assert_allclose(
            accumulated, without, rtol=1e-4, atol=1e-6, err_msg=without.path
        )
