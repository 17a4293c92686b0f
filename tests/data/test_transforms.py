import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.views import View, take_view


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_load_size_is_76_64ths_as_in_the_paper():
    assert [transforms.load_size(size) for size in (64, 256)] == [76, 304]


def cropped(image, corner, flip=False):
    """A square of 16 px, cropped as in the pipeline."""
    shape = tf.shape(image)[:2]
    window = tf.concat([[0, 0], shape], 0)
    return take_view(image, View.of_crop(window, shape, corner, (16, 16), flip))


@pytest.mark.parametrize(
    ("uniform", "top", "left"),
    [((0.0, 0.0), 0, 0), ((0.5, 0.5), 2, 7), ((0.9999999, 0.9999999), 4, 14)],
)
def test_random_corner_follows_its_random_numbers(picture, uniform, top, left):
    shape = tf.constant([20, 30])
    crop = cropped(
        picture, transforms.random_corner(shape, 16, tf.constant(uniform, tf.float32))
    )
    np.testing.assert_array_equal(crop, picture[top : top + 16, left : left + 16])


def test_random_crops_cover_all_places_evenly():
    uniform = tf.random.stateless_uniform((900, 2), (0, 0))
    dataset = tf.data.Dataset.from_tensor_slices(uniform).map(
        lambda pair: transforms.random_corner(tf.constant([10, 10]), 8, pair)
    )
    corners = [10 * top + left for top, left in dataset.as_numpy_iterator()]
    counts = np.bincount(corners, minlength=100)
    assert np.count_nonzero(counts) == 9
    assert 60 < counts[counts > 0].min() <= counts.max() < 140


def test_flip_mirrors(picture):
    dataset = tf.data.Dataset.from_tensors(picture).map(
        lambda image: cropped(image, (2, 7), tf.constant(0.1) < 0.5)
    )
    flipped = next(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(flipped, picture[2:18, 7:23][:, ::-1])
    np.testing.assert_array_equal(cropped(picture, (2, 7)), picture[2:18, 7:23])


def test_pyramid_halves_by_means_of_four_pixels():
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    small, big = transforms.image_pyramid(tf.constant(images), (4, 8))
    np.testing.assert_array_equal(big, images)
    means = images.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    np.testing.assert_allclose(small, means, atol=1e-6)


def test_to_uint8_inverts_to_float_and_clips():
    pixels = np.arange(256, dtype=np.uint8)
    floats = transforms.to_float(pixels).numpy()
    assert (floats[0], floats[-1]) == (-1.0, 1.0)
    np.testing.assert_array_equal(transforms.to_uint8(floats), pixels)
    np.testing.assert_array_equal(
        transforms.to_uint8(tf.constant([-9.0, 9.0])), [0, 255]
    )
