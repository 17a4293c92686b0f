import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models.blocks import ResidualBlock, UpBlock
from mirrorgan_tf.models.rematerialization import Block, rematerialize
from tests.conftest import half_precision


class Blocks(keras.Model):
    """A residual block and an upsampling block."""

    def __init__(self):
        super().__init__()
        policy = self.dtype_policy
        self.blocks = [
            ResidualBlock(3, dtype=policy),
            UpBlock(2, dtype=policy),
        ]

    def build(self, shape):
        for block in self.blocks:
            block.build((None, None, None, 3))
        self.built = True

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x, training=training)
        return x


def _two_steps(strategy, remat, images):
    """Outputs, gradients by image, all weights; convolutions in the graph."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = Blocks()
        model.build((None, 32, 32, 3))
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(model.trainable_variables)
    if remat:
        rematerialize(model)

    def step(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = tf.cast(model(images, training=True), tf.float32)
            loss = tf.reduce_sum(outputs**2)
        variables = model.trainable_variables
        *gradients, by_image = tape.gradient(loss, [*variables, images])
        optimizer.apply(gradients, variables)
        return outputs, by_image

    run = tf.function(lambda images: strategy.run(step, (images,)))
    parts = strategy.experimental_distribute_values_from_function(
        lambda context: (
            images[context.replica_id_in_sync_group :: 2]
            if strategy.num_replicas_in_sync == 2
            else images
        )
    )
    results = [strategy.experimental_local_results(run(parts)) for _ in range(2)]
    operations = run.get_concrete_function(parts).graph.get_operations()
    convolutions = sum(operation.type == "Conv2D" for operation in operations)
    return tf.nest.flatten(results), model.get_weights(), convolutions


@pytest.mark.parametrize("setting", ["one replica", "two replicas", "bfloat16"])
def test_rematerialization_does_not_change_results(setting, two_replicas):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    strategy = two_replicas if setting == "two replicas" else one
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    with half_precision() if setting == "bfloat16" else contextlib.nullcontext():
        kept = _two_steps(strategy, False, tf.constant(images))
        recomputed = _two_steps(strategy, True, tf.constant(images))
    # The whole forward pass: two convolutions and four of an upsampling.
    replicas = strategy.num_replicas_in_sync
    assert (kept[2], recomputed[2]) == (6 * replicas, 2 * 6 * replicas)
    # The moving averages of batch norms are among the weights.
    for a, b in zip(kept[0] + kept[1], recomputed[0] + recomputed[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_inference_recomputes_nothing_and_keeps_the_weights():
    model = Blocks()
    rematerialize(model)
    assert all(block.remat for block in model.blocks)
    assert not Block.remat
    model.build((None, 32, 32, 3))
    before = model.get_weights()
    images = tf.ones((1, 32, 32, 3))
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = model(images)
    assert tape.gradient(outputs, images) is not None
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
