import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.training.augmentation import NUMBERS_PER_IMAGE, augment


def _images(rows=3, side=16):
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (rows, side, side, 3)).astype(np.float32)


def _numbers(rows=3, columns=()):
    """0.5, which leaves colours and positions as they are, but for some columns."""
    numbers = np.full((rows, NUMBERS_PER_IMAGE), 0.5, np.float32)
    for column, value in columns:
        numbers[:, column] = value
    return numbers


def test_numbers_of_one_half_change_neither_colours_nor_position():
    images = _images()
    result = augment(images, _numbers(), ["color", "translation"])
    np.testing.assert_allclose(result, images, atol=1e-6)


def test_brightness_adds_a_constant():
    images = _images()
    result = augment(images, _numbers(columns=[(0, 0.9)]), ["color"])
    np.testing.assert_allclose(result, images + 0.4, atol=1e-5)


def test_saturation_keeps_the_gray_value_and_contrast_the_mean():
    images = _images()
    gray = np.asarray(augment(images, _numbers(columns=[(1, 0.0)]), ["color"]))
    np.testing.assert_allclose(
        gray, np.repeat(images.mean(-1, keepdims=True), 3, -1), atol=1e-5
    )
    flat = np.asarray(augment(images, _numbers(columns=[(2, 0.0)]), ["color"]))
    mean = images.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(flat - mean, (images - mean) / 2, atol=1e-5)


@pytest.mark.parametrize("side", [16, 64])
def test_translation_moves_by_up_to_an_eighth_of_the_side(side):
    images = np.zeros((4, side, side, 3), np.float32)
    images[:, 5, 7] = [1, 2, 3]
    numbers = _numbers(4)
    numbers[:, 3] = [0.0, 0.999, 0.5, 0.5]
    numbers[:, 4] = [0.5, 0.5, 0.0, 0.999]
    result = np.asarray(augment(images, numbers, ["translation"]))
    most = side // 8
    expected = np.zeros_like(images)
    moves = [(-most, 0), (most, 0), (0, -most), (0, most)]
    for image, (down, right) in zip(expected, moves, strict=True):
        if 0 <= 5 + down < side and 0 <= 7 + right < side:
            image[5 + down, 7 + right] = [1, 2, 3]
    np.testing.assert_array_equal(result, expected)


def test_cutout_zeros_the_part_of_the_square_that_is_inside_the_image():
    images = np.ones((4, 16, 16, 3), np.float32)
    numbers = _numbers(4)
    numbers[:, 5] = [0.5, 0.0, 0.999, 0.5]
    numbers[:, 6] = [0.5, 0.0, 0.999, 0.0]
    result = np.asarray(augment(images, numbers, ["cutout"]))
    np.testing.assert_allclose(
        1 - result.mean((1, 2, 3)), [1 / 4, 1 / 16, 1 / 16, 1 / 8]
    )
    assert (result[0, 4:12, 4:12] == 0).all()


def test_each_image_uses_its_own_numbers_and_gradients_pass():
    images = tf.constant(_images())
    random = np.random.default_rng(1)
    numbers = random.uniform(size=(3, NUMBERS_PER_IMAGE)).astype(np.float32)
    names = ["color", "translation", "cutout"]
    with tf.GradientTape() as tape:
        tape.watch(images)
        result = augment(images, numbers, names)
    for row in range(3):
        alone = augment(images[row : row + 1], numbers[row : row + 1], names)
        np.testing.assert_allclose(result[row], alone[0], atol=1e-6)
    gradient = tape.gradient(result, images).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 0.1).all()
