import math

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.losses.damsm import (
    matching_losses,
    sentence_similarity,
    word_similarity,
)
from tests.conftest import normal

B, R, L, D = 3, 6, 4, 5


def _mask(*lengths):
    return np.arange(L) >= np.array(lengths)[:, None]


def test_sentence_similarity_is_gamma3_times_the_cosine():
    codes, sentences = normal(2, D), normal(3, D, seed=1)
    expected = [
        [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in sentences]
        for a in codes
    ]
    result = sentence_similarity(codes, sentences, gamma3=10.0)
    np.testing.assert_allclose(result, 10 * np.array(expected), rtol=1e-4)


def test_word_similarity_of_parallel_vectors_has_its_closed_form():
    # All vectors have one direction: every cosine is 1, for any attention.
    direction = normal(D)
    regions = np.tile(direction, (1, R, 1))
    words = np.tile(2 * direction, (2, L, 1))
    result = word_similarity(
        regions, words, _mask(4, 2), gamma1=4.0, gamma2=5.0, gamma3=10.0
    )
    expected = [10 * (5 + math.log(4)), 10 * (5 + math.log(2))]
    np.testing.assert_allclose(result[0], expected, rtol=1e-5)


def test_word_similarity_ignores_the_order_of_regions_and_padding():
    regions, words, mask = normal(B, R, D), normal(B, L, D, seed=1), _mask(4, 2, 1)
    expected = word_similarity(regions, words, mask)
    other = np.where(mask[..., None], 7.0, words).astype(np.float32)
    np.testing.assert_allclose(
        word_similarity(regions[:, ::-1], other, mask), expected, rtol=1e-4
    )
    cut = word_similarity(regions, words[1:2, :2], mask[1:2, :2])
    np.testing.assert_allclose(cut[:, 0], expected[:, 1], rtol=1e-4)


def test_empty_caption_has_similarity_0_and_finite_gradients():
    words = tf.Variable(normal(B, L, D) * ~_mask(4, 0, 2)[..., None])
    regions = tf.Variable(normal(B, R, D))
    with tf.GradientTape() as tape:
        similarity = word_similarity(regions, words, _mask(4, 0, 2))
        loss = sum(map(tf.reduce_sum, matching_losses(similarity)))
    np.testing.assert_array_equal(similarity[:, 1], np.zeros(B))
    for gradient in tape.gradient(loss, [words, regions]):
        assert np.isfinite(gradient).all()


def test_matching_losses_of_the_transpose_are_swapped():
    similarity = normal(B, B)
    one_way, other_way = matching_losses(similarity)
    swapped = matching_losses(similarity.T)
    np.testing.assert_allclose(one_way, swapped[1], rtol=1e-6)
    np.testing.assert_allclose(other_way, swapped[0], rtol=1e-6)


def test_matching_losses_of_equal_similarities_are_log_batch_size():
    for losses in matching_losses(np.zeros((B, B), np.float32)):
        np.testing.assert_allclose(losses, np.full(B, math.log(B)), rtol=1e-6)


def test_small_matching_loss_of_large_similarities_is_exact():
    similarity = 60 * np.ones((2, 2), np.float32) + 8 * np.eye(2, dtype=np.float32)
    for losses in matching_losses(similarity):
        np.testing.assert_allclose(
            losses, np.full(2, math.log1p(math.exp(-8))), atol=2e-7
        )


def test_other_images_of_the_class_are_no_negatives():
    guess = np.zeros((B, B), np.float32)
    for losses in matching_losses(guess, np.array([1, 0, 1])):
        np.testing.assert_allclose(
            losses, [math.log(2), math.log(3), math.log(2)], rtol=1e-6
        )
    for losses in matching_losses(guess, np.array([1, 1, 1])):
        np.testing.assert_allclose(losses, np.zeros(B), atol=1e-6)


def test_similarity_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="square"):
        matching_losses(np.zeros((2, 3), np.float32))


def test_zero_sentence_gets_no_gradient():
    sentence = tf.Variable(np.stack([normal(D), np.zeros(D, np.float32)]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(sentence_similarity(normal(2, D, seed=1), sentence))
    gradient = tape.gradient(loss, sentence).numpy()
    assert gradient[0].any() and not gradient[1].any()
