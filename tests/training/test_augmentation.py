import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.training.augmentation import NUMBERS_PER_IMAGE, augment


def _images(rows=3, side=16):
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (rows, side, side, 3)).astype(np.float32)


def _draws(rows=3, **fixed):
    """The middle of everything, which for colour is to do nothing."""
    draws = np.full((rows, NUMBERS_PER_IMAGE), 0.5, np.float32)
    for place, value in fixed.items():
        draws[:, int(place.removeprefix("draw"))] = value
    return draws


def test_the_middle_of_the_draws_changes_nothing():
    images = _images()
    done = augment(images, _draws(), ["color", "translation"])
    np.testing.assert_allclose(done, images, atol=1e-6)


def test_brightness_shifts_the_mean_and_nothing_else():
    images = _images()
    done = augment(images, _draws(draw0=0.9), ["color"])
    np.testing.assert_allclose(done, images + 0.4, atol=1e-5)


def test_saturation_and_contrast_keep_what_they_turn_about():
    images = _images()
    gray = np.asarray(augment(images, _draws(draw1=0.0), ["color"]))
    np.testing.assert_allclose(
        gray, np.repeat(images.mean(-1, keepdims=True), 3, -1), atol=1e-5
    )
    flat = np.asarray(augment(images, _draws(draw2=0.0), ["color"]))
    mean = images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(flat - mean, (images - mean) / 2, atol=1e-5)


@pytest.mark.parametrize("side", [16, 64])
def test_translation_moves_a_pixel(side):
    images = np.zeros((4, side, side, 3), np.float32)
    images[:, 5, 7] = [1, 2, 3]
    draws = _draws(4)
    draws[:, 3] = [0.0, 0.999, 0.5, 0.5]
    draws[:, 4] = [0.5, 0.5, 0.0, 0.999]
    done = np.asarray(augment(images, draws, ["translation"]))
    most = side // 8
    expected = np.zeros_like(images)
    moves = [(-most, 0), (most, 0), (0, -most), (0, most)]
    for image, (down, right) in zip(expected, moves, strict=True):
        if 0 <= 5 + down < side and 0 <= 7 + right < side:
            image[5 + down, 7 + right] = [1, 2, 3]
    np.testing.assert_array_equal(done, expected)


def test_cutout_zeros_a_quarter_or_what_of_it_is_inside():
    images = np.ones((4, 16, 16, 3), np.float32)
    draws = _draws(4)
    draws[:, 5] = [0.5, 0.0, 0.999, 0.5]
    draws[:, 6] = [0.5, 0.0, 0.999, 0.0]
    done = np.asarray(augment(images, draws, ["cutout"]))
    np.testing.assert_allclose(1 - done.mean((1, 2, 3)), [1 / 4, 1 / 16, 1 / 16, 1 / 8])
    assert (done[0, 4:12, 4:12] == 0).all()


def test_each_image_is_changed_by_its_own_draws_and_gradients_pass():
    images = tf.constant(_images())
    random = np.random.default_rng(1)
    draws = random.uniform(size=(3, NUMBERS_PER_IMAGE)).astype(np.float32)
    names = ["color", "translation", "cutout"]
    with tf.GradientTape() as tape:
        tape.watch(images)
        done = augment(images, draws, names)
    for row in range(3):
        alone = augment(images[row : row + 1], draws[row : row + 1], names)
        np.testing.assert_allclose(done[row], alone[0], atol=1e-6)
    gradient = tape.gradient(done, images).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 0.1).all()
