import itertools

import numpy as np
import pytest

from mirrorgan_tf.evaluation.diversity import mean_cosine_distance, mean_pixel_rmse


def test_mean_pixel_rmse_agrees_with_brute_force():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), np.uint8)
    expected = [
        np.sqrt(np.mean((a.astype(float) - b) ** 2))
        for a, b in itertools.combinations(images, 2)
    ]
    assert mean_pixel_rmse(images) == pytest.approx(np.mean(expected))


def test_mean_cosine_distance_matches_value_computed_by_hand():
    codes = np.array([[1.0, 0], [0, 2], [-3, 0]], np.float32)
    assert mean_cosine_distance(codes) == pytest.approx((1 + 2 + 1) / 3)
    assert codes[2, 0] == -3  # the argument is unchanged


def test_equal_images_have_distance_zero():
    assert mean_pixel_rmse(np.full((3, 2, 2, 3), 7, np.uint8)) == 0
    assert mean_cosine_distance(np.ones((3, 5))) == pytest.approx(0, abs=1e-6)


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        mean_pixel_rmse(np.zeros((1, 2, 2, 3), np.uint8))
