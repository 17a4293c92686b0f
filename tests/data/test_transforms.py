import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf.data import transforms
from mirrorgan_tf.data.decoding import decode_image
from mirrorgan_tf.data.views import View, take_view


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encoded(array, kind):
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def mapped(function, image):
    """The function's result inside Dataset.map, and its static shape."""
    dataset = tf.data.Dataset.from_tensors(image).map(function)
    return next(dataset.as_numpy_iterator()), dataset.element_spec.shape.as_list()


def test_load_size_is_the_papers():
    assert [transforms.load_size(size) for size in (64, 256)] == [76, 304]


def test_png_pixels_come_back(picture):
    content = encoded(picture, "PNG")
    np.testing.assert_array_equal(decode_image(content), picture)
    pixels, shape = mapped(decode_image, content)
    np.testing.assert_array_equal(pixels, picture)
    assert shape == [None, None, 3]


def test_jpeg_is_near_its_source():
    smooth = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    decoded = decode_image(encoded(smooth, "JPEG")).numpy()
    assert np.abs(decoded.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_greyscale_gets_three_equal_channels(picture, kind):
    decoded = decode_image(encoded(picture[..., 0], kind)).numpy()
    assert decoded.shape == (20, 30, 3)
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])


def test_transparency_is_dropped(picture):
    opaque = np.full((20, 30, 1), 128, np.uint8)
    content = encoded(np.concatenate([picture, opaque], -1), "PNG")
    np.testing.assert_array_equal(decode_image(content), picture)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((20, 30), (10, 15)),
        ((30, 20), (15, 10)),
        ((7, 7), (10, 10)),
        ((5, 9), (10, 18)),
    ],
)
def test_the_shorter_side_is_resized(before, after):
    image = np.full((*before, 3), 77, np.uint8)
    resized = transforms.resize_shorter_side(image, 10).numpy()
    assert resized.shape == (*after, 3)
    assert resized.dtype == np.uint8
    assert (resized == 77).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    resized = transforms.resize_shorter_side(stripes, 16).numpy()
    assert np.abs(resized[2:-2, 2:-2].astype(int) - 127.5).max() < 12


def test_a_picture_of_the_right_size_is_untouched(picture):
    resized = transforms.resize_shorter_side(picture, 20)
    np.testing.assert_array_equal(resized, picture)


def cropped(image, corner, flip=False):
    """A square of 16 px, as the pipeline cuts it."""
    shape = tf.shape(image)[:2]
    window = tf.concat([[0, 0], shape], 0)
    return take_view(image, View.of_crop(window, shape, corner, (16, 16), flip))


def test_center_crop_is_the_middle(picture):
    corner = transforms.center_corner(tf.constant([20, 30]), 16)
    np.testing.assert_array_equal(cropped(picture, corner), picture[2:18, 7:23])


@pytest.mark.parametrize(
    ("draws", "top", "left"),
    [((0.0, 0.0), 0, 0), ((0.5, 0.5), 2, 7), ((0.9999999, 0.9999999), 4, 14)],
)
def test_random_crop_follows_its_draws(picture, draws, top, left):
    shape = tf.constant([20, 30])
    crop = cropped(
        picture, transforms.random_corner(shape, 16, tf.constant(draws, tf.float32))
    )
    np.testing.assert_array_equal(crop, picture[top : top + 16, left : left + 16])


def test_random_crops_cover_all_places_evenly():
    draws = tf.random.stateless_uniform((900, 2), (0, 0))
    dataset = tf.data.Dataset.from_tensor_slices(draws).map(
        lambda draw: transforms.random_corner(tf.constant([10, 10]), 8, draw)
    )
    corners = [10 * top + left for top, left in dataset.as_numpy_iterator()]
    counts = np.bincount(corners, minlength=100)
    assert np.count_nonzero(counts) == 9
    assert 60 < counts[counts > 0].min() <= counts.max() < 140


def test_flip_mirrors(picture):
    flipped, _ = mapped(
        lambda image: cropped(image, (2, 7), tf.constant(0.1) < 0.5), picture
    )
    np.testing.assert_array_equal(flipped, picture[2:18, 7:23][:, ::-1])
    np.testing.assert_array_equal(cropped(picture, (2, 7)), picture[2:18, 7:23])


def test_pyramid_halves_by_means_of_four_pixels():
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    small, big = transforms.image_pyramid(tf.constant(images), (4, 8))
    np.testing.assert_array_equal(big, images)
    means = images.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    np.testing.assert_allclose(small, means, atol=1e-6)


def test_floats_and_bytes_are_inverse():
    pixels = np.arange(256, dtype=np.uint8)
    floats = transforms.to_float(pixels).numpy()
    assert (floats[0], floats[-1]) == (-1.0, 1.0)
    np.testing.assert_array_equal(transforms.to_uint8(floats), pixels)
    np.testing.assert_array_equal(
        transforms.to_uint8(tf.constant([-9.0, 9.0])), [0, 255]
    )
