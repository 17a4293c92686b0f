import math

import numpy as np
import pytest

from mirrorgan_tf.losses.adversarial import ADVERSARIAL_LOSSES, fake_loss, real_loss
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.losses.kl import kl_to_standard_normal


def test_adversarial_losses_are_binary_cross_entropies():
    logits = np.array([0.0, 2.0, -3.0], np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(real_loss(logits), -np.log(probabilities), rtol=1e-5)
    np.testing.assert_allclose(fake_loss(logits), -np.log(1 - probabilities), rtol=1e-5)


def test_adversarial_losses_of_large_logits_are_finite():
    logits = np.array([-1e4, 1e4], np.float32)
    np.testing.assert_allclose(real_loss(logits), [1e4, 0])
    np.testing.assert_allclose(fake_loss(logits), [0, 1e4])


def test_hinge_losses_have_a_margin_of_one():
    logits = np.array([-2.0, -1.0, 0.5, 1.0, 3.0], np.float32)
    hinge = ADVERSARIAL_LOSSES["hinge"]
    np.testing.assert_allclose(hinge.real(logits), [3, 2, 0.5, 0, 0])
    np.testing.assert_allclose(hinge.fake(logits), [0, 0, 1.5, 2, 4])
    np.testing.assert_allclose(hinge.generator(logits), -logits)


def test_kl_matches_closed_form_for_gaussians():
    # KL(N(m, s²) || N(0, 1)) = (m² + s² - 1) / 2 - log s
    mu = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 0.0]], np.float32)
    deviation = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 0.5]], np.float32)
    expected = ((mu**2 + deviation**2 - 1) / 2 - np.log(deviation)).mean(-1)
    result = kl_to_standard_normal(mu, 2 * np.log(deviation))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)


def test_kl_of_different_shapes_is_refused():
    with pytest.raises(ValueError, match="log_var"):
        kl_to_standard_normal(np.zeros((2, 3)), np.zeros((2, 1)))


def test_caption_cross_entropy_of_equal_and_of_certain_logits():
    ids = np.array([[1, 0, 3]], np.int64)
    guess = caption_cross_entropy(np.zeros((1, 3, 5), np.float32), ids)
    np.testing.assert_allclose(guess, np.full((1, 3), math.log(5)), rtol=1e-6)
    sure = caption_cross_entropy(50 * np.eye(5, dtype=np.float32)[ids], ids)
    np.testing.assert_allclose(sure, np.zeros((1, 3)), atol=1e-6)
