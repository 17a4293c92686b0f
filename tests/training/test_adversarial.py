import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.config.groups import LossSettings
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.training.adversarial import discriminator_loss, lazy_r1
from mirrorgan_tf.training.distribution import next_example
from tests.conftest import normal


class Linear:
    """A discriminator whose gradients are its weights."""

    def __init__(self):
        self.alone = tf.Variable(normal(4, 4, 3, seed=1))
        self.joint = tf.Variable(normal(4, 4, 3, seed=2))
        self.sentence = tf.Variable(normal(5, seed=3))

    @property
    def trainable_variables(self):
        return [self.alone, self.joint, self.sentence]

    def features(self, images, batches=1, training=False):
        return images

    def unconditional(self, features, training=False):
        return tf.einsum("byxc,yxc->b", features, self.alone)

    def conditional(self, features, sentence, batches=1, training=False):
        image_logits = tf.einsum("byxc,yxc->b", features, self.joint)
        # The logits of real images are needed twice: the wrong sentences come last.
        image_logits = tf.concat(
            [image_logits, image_logits[: len(sentence) - len(features)]], 0
        )
        return image_logits + tf.linalg.matvec(sentence, self.sentence)


def _losses(r1_weight):
    discriminator = Linear()
    real, sentence = tf.constant(normal(2, 4, 4, 3)), tf.constant(normal(2, 5))
    losses, total = discriminator_loss(
        discriminator,
        real,
        -real,
        sentence,
        sentence[::-1],
        tf.ones(2),
        settings=LossSettings(r1_weight=r1_weight),
        training=True,
    )
    return discriminator, losses, total


def test_r1_of_a_linear_discriminator_is_half_the_squared_norm_of_its_weights():
    _, plain, plain_total = _losses(r1_weight=0.0)
    discriminator, losses, total = _losses(r1_weight=3.0)
    unconditional, conditional = (
        float(tf.reduce_sum(tf.square(weights)))
        for weights in (discriminator.alone, discriminator.joint)
    )
    assert plain.keys() == {"discriminator"}
    np.testing.assert_allclose(losses["discriminator"], plain_total, rtol=1e-6)
    np.testing.assert_allclose(
        losses["r1"], (unconditional + conditional) / 2, rtol=1e-5
    )
    np.testing.assert_allclose(total, plain_total + 3 * losses["r1"], rtol=1e-5)


@pytest.mark.parametrize(("step", "factor"), [(0, 4), (1, 0), (3, 0), (8, 4)])
def test_lazy_r1_is_a_multiple_at_every_fourth_step_and_zero_between(step, factor):
    discriminator = Linear()
    settings = LossSettings(r1_weight=3.0, r1_every=4)
    r1, gradients = lazy_r1(
        discriminator,
        tf.constant(normal(2, 4, 4, 3)),
        tf.constant(normal(2, 5)),
        settings=settings,
        step=tf.constant(step),
    )
    weights = discriminator.alone, discriminator.joint
    penalty = sum(float(tf.reduce_sum(tf.square(w))) for w in weights) / 2
    np.testing.assert_allclose(r1, factor * penalty, rtol=1e-5)
    # The derivative of half the squared norm.
    for gradient, w in zip(gradients, weights, strict=False):
        np.testing.assert_allclose(gradient, factor * 3 * w.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(gradients[2], np.zeros(5))


def _discriminator_and_inputs(**options):
    """In float64, with two real images, two generated ones and two sentences."""
    keras.utils.set_random_seed(0)
    discriminator = Discriminator(16, width=2, dtype="float64", **options)
    discriminator.build((None, 16, 16, 3), (None, 5))
    return discriminator, [
        tf.constant(normal(2, *shape, seed=seed), tf.float64)
        for seed, shape in enumerate([(16, 16, 3), (16, 16, 3), (5,)])
    ]


def test_lazy_r1_has_the_gradients_of_r1_within_the_loss():
    discriminator, (real, fake, sentence) = _discriminator_and_inputs(normalized=False)
    variables = discriminator.trainable_variables

    def gradients_of_loss(r1_weight):
        with tf.GradientTape() as tape:
            _, total = discriminator_loss(
                discriminator,
                real,
                fake,
                sentence,
                sentence[::-1],
                tf.ones(2, tf.float64),
                settings=LossSettings(r1_weight=r1_weight),
                training=True,
            )
        return tape.gradient(total, variables)

    _, penalty_gradients = lazy_r1(
        discriminator,
        real,
        sentence,
        settings=LossSettings(r1_weight=5.0, r1_every=2),
        step=tf.constant(0),
    )
    for with_r1, without, lazy in zip(
        gradients_of_loss(5.0), gradients_of_loss(0.0), penalty_gradients, strict=True
    ):
        np.testing.assert_allclose(lazy, 2 * (with_r1 - without), rtol=0, atol=1e-9)


def _losses_and_gradients(strategy, *, lazy):
    """Losses of a discriminator with fixed weights, and their gradients, by name."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        discriminator = Discriminator(
            16, width=2, spectral_norm=True, normalized=not lazy, dtype="float64"
        )
        discriminator.build((None, 16, 16, 3), (None, 5))
    variables = discriminator.trainable_variables
    inputs = normal(4, 16, 16, 3), normal(4, 16, 16, 3, seed=1), normal(4, 5)
    rows = 4 // strategy.num_replicas_in_sync

    def step(replica):
        share = slice(replica * rows, (replica + 1) * rows)
        real, fake, sentence = (tf.constant(x[share], tf.float64) for x in inputs)
        settings = LossSettings(r1_weight=10.0, r1_every=2 if lazy else 1)
        if lazy:
            r1, gradients = lazy_r1(
                discriminator, real, sentence, settings=settings, step=tf.constant(4)
            )
            losses = {"r1": r1}
        else:
            with tf.GradientTape() as tape:
                losses, total = discriminator_loss(
                    discriminator,
                    real,
                    fake,
                    sentence,
                    *next_example(sentence),
                    settings=settings,
                    training=True,
                )
            gradients = tape.gradient(total, variables)
        return losses | {
            f"{variable.name} {i}": gradient
            for i, (variable, gradient) in enumerate(
                zip(variables, gradients, strict=True)
            )
        }

    if strategy.num_replicas_in_sync == 1:
        # Eagerly: tracing second derivatives takes longer.
        return {name: value.numpy() for name, value in step(0).items()}
    replicas = strategy.experimental_distribute_values_from_function(
        lambda context: context.replica_id_in_sync_group
    )
    shares = tf.function(lambda: strategy.run(step, (replicas,)), autograph=False)()
    return {
        name: sum(part.numpy() for part in strategy.experimental_local_results(share))
        for name, share in shares.items()
    }


@pytest.mark.parametrize("lazy", [False, True])
def test_one_and_two_replicas_have_equal_gradients_of_r1_in_float64(lazy, two_replicas):
    expected = _losses_and_gradients(tf.distribute.get_strategy(), lazy=lazy)
    results = _losses_and_gradients(two_replicas, lazy=lazy)
    assert results.keys() == expected.keys() and len(expected) > 7
    for name, value in expected.items():
        assert value.dtype == "float64", name
        np.testing.assert_allclose(
            results[name],
            value,
            rtol=0,
            atol=1e-10 * np.abs(value).max(),
            err_msg=name,
        )


def test_gradient_of_r1_matches_finite_differences():
    """Through all of a discriminator's layers, in a random direction of its weights."""
    discriminator, (real, fake, sentence) = _discriminator_and_inputs()
    variables = discriminator.trainable_variables

    def penalty_and_gradients():
        with tf.GradientTape() as tape:
            losses, _ = discriminator_loss(
                discriminator,
                real,
                fake,
                sentence,
                sentence[::-1],
                tf.ones(2, tf.float64),
                settings=LossSettings(r1_weight=1.0),
                training=True,
            )
            total = losses["r1"]
        # No gradient by biases of the logits.
        return total, [
            tf.zeros(variable.shape, tf.float64) if gradient is None else gradient
            for variable, gradient in zip(
                variables, tape.gradient(total, variables), strict=True
            )
        ]

    start = [variable.numpy() for variable in variables]
    direction = [normal(*w.shape, seed=i) * w.std() for i, w in enumerate(start)]
    _, gradients = penalty_and_gradients()
    slope = sum(
        np.sum(d * g.numpy()) for d, g in zip(direction, gradients, strict=True)
    )
    values = []
    for step in (1e-6, -1e-6):
        for variable, w, d in zip(variables, start, direction, strict=True):
            variable.assign(w + step * d)
        values.append(penalty_and_gradients()[0].numpy())
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)
    assert abs(slope) > 1e-3 * abs(values[0])
