import numpy as np
import pytest
from scipy.stats import binomtest

from mirrorgan_tf.evaluation import two_sample_test as module
from mirrorgan_tf.evaluation.two_sample_test import binomial_interval, two_sample_test


def images(rng, count):
    return rng.integers(0, 256, (count, 16, 16, 3), np.uint8)


def test_accuracy_is_high_for_different_sets_and_near_half_for_equal_ones(monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 30)
    rng = np.random.default_rng(0)
    real = images(rng, 120)
    darker = images(rng, 90) // 2
    different = two_sample_test(real, darker, seed=1)
    assert different.images == 90 and different.accuracy > 0.95
    assert different.interval[0] > 0.9
    equal = two_sample_test(real, images(rng, 120), seed=1)
    assert equal.interval[0] < 0.5 < equal.interval[1]


def test_binomial_interval_agrees_with_scipys_wilson_interval():
    for right, count in ((0, 10), (37, 80), (499, 500), (5, 5)):
        wilson = binomtest(right, count).proportion_ci(method="wilson")
        assert binomial_interval(right, count) == pytest.approx(
            (wilson.low, wilson.high)
        )


def test_two_sample_test_refuses_other_sizes_and_few_images():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 4 images"):
        two_sample_test(images(rng, 3), images(rng, 9))
    with pytest.raises(ValueError, match="the same sizes"):
        two_sample_test(images(rng, 9), images(rng, 9)[:, :8, :8])
