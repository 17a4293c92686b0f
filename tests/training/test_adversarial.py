import numpy as np
import tensorflow as tf

from mirrorgan_tf.training.adversarial import discriminator_loss


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Linear:
    """A discriminator whose gradients are its weights."""

    def __init__(self):
        self.alone = tf.Variable(_normal(4, 4, 3, seed=1))
        self.joint = tf.Variable(_normal(4, 4, 3, seed=2))
        self.sentence = tf.Variable(_normal(5, seed=3))

    def features(self, images, batches, training):
        return images

    def unconditional(self, features, training):
        return tf.einsum("byxc,yxc->b", features, self.alone)

    def conditional(self, features, sentence, batches, training):
        of_image = tf.einsum("byxc,yxc->b", features, self.joint)
        # Of real and fake images; real ones again with the wrong sentences.
        of_image = tf.concat([of_image, of_image[: len(sentence) - len(features)]], 0)
        return of_image + tf.linalg.matvec(sentence, self.sentence)


def _losses(**weights):
    judge = Linear()
    real, sentence = tf.constant(_normal(2, 4, 4, 3)), tf.constant(_normal(2, 5))
    with tf.GradientTape() as tape:
        losses, total = discriminator_loss(
            judge,
            real,
            -real,
            sentence,
            sentence[::-1],
            tf.ones(2),
            training=True,
            **weights,
        )
    return judge, losses, total, tape.gradient(total, judge.sentence)


def test_a_linear_discriminator_is_penalised_for_its_weights():
    _, plain, plain_total, plain_gradient = _losses()
    judge, losses, total, gradient = _losses(
        r1_weight=3.0, matching_weight=0.5, matching_power=4.0
    )
    alone, joint, sentence = (
        float(tf.reduce_sum(tf.square(weights)))
        for weights in (judge.alone, judge.joint, judge.sentence)
    )
    assert plain.keys() == {"discriminator"}
    np.testing.assert_allclose(losses["discriminator"], plain_total, rtol=1e-6)
    np.testing.assert_allclose(losses["r1"], (alone + joint) / 2, rtol=1e-5)
    np.testing.assert_allclose(losses["matching"], (joint + sentence) ** 2, rtol=1e-5)
    np.testing.assert_allclose(
        total, plain_total + 3 * losses["r1"] + 0.5 * losses["matching"], rtol=1e-5
    )
    # d/ds of k (|x|² + |s|²)²
    expected = 0.5 * 4 * (joint + sentence) * judge.sentence.numpy()
    np.testing.assert_allclose(gradient - plain_gradient, expected, rtol=1e-4)
