import numpy as np
import pytest

from mirrorgan_tf.models.attention import WordAttention, padding_mask_from_lengths
from tests.conftest import normal

FEATURES = normal(3, 2, 5, 4)
WORDS = normal(3, 6, 7, seed=1)
LENGTHS = np.array([6, 2, 0], np.int32)


@pytest.fixture(scope="module")
def attention():
    layer = WordAttention(4)
    layer(FEATURES, WORDS)
    return layer


def test_padded_words_get_no_attention_in_a_batch(attention):
    mask = padding_mask_from_lengths(LENGTHS, 6)
    context, maps = attention(FEATURES, WORDS, padding_mask=mask)
    context, maps = context.numpy(), maps.numpy()
    assert maps.shape == (3, 2, 5, 6) and context.shape == FEATURES.shape
    assert not maps[1, ..., 2:].any()
    # The third caption has no words.
    assert not maps[2].any() and not context[2].any()
    np.testing.assert_allclose(maps[:2].sum(-1), 1.0, rtol=1e-6)
    # The same as a caption cut to its length, alone.
    cut_context, cut_maps = attention(FEATURES[1:2], WORDS[1:2, :2])
    np.testing.assert_allclose(maps[1:2, ..., :2], cut_maps, atol=1e-6)
    np.testing.assert_allclose(context[1:2], cut_context, atol=1e-6)


def test_word_of_weight_2_counts_like_two_words(attention):
    weights = np.array([[2, 1, 0, 0, 0, 0]] * 3, np.float32)
    context, maps = attention(FEATURES, WORDS, word_weights=weights)
    twice = WORDS[:, [0, 0, 1]]
    expected_context, expected_maps = attention(FEATURES, twice)
    np.testing.assert_allclose(context, expected_context, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        maps.numpy()[..., 0], expected_maps.numpy()[..., :2].sum(-1), rtol=1e-5
    )
    assert not maps.numpy()[..., 2:].any()


def test_weights_of_one_and_zero_equal_a_mask(attention):
    mask = padding_mask_from_lengths(LENGTHS, 6)
    by_mask = attention(FEATURES, WORDS, padding_mask=mask)
    weights = 1.0 - np.asarray(mask, np.float32)
    by_weights = attention(FEATURES, WORDS, word_weights=weights)
    for value, expected in zip(by_weights, by_mask, strict=True):
        np.testing.assert_array_equal(value, expected)
