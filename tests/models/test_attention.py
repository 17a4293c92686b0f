import numpy as np
import pytest

from mirrorgan_tf.models.attention import (
    SentenceAttention,
    WordAttention,
    padding_mask_from_lengths,
)
from tests.conftest import normal

FEATURES = normal(3, 2, 5, 4)
WORDS = normal(3, 6, 7, seed=1)
LENGTHS = np.array([6, 2, 0], np.int32)


@pytest.fixture(scope="module")
def attention():
    layer = WordAttention(4)
    layer(FEATURES, WORDS)
    return layer


def test_padding_mask_is_true_past_the_end():
    np.testing.assert_array_equal(
        padding_mask_from_lengths(np.array([2, 0]), 3),
        [[False, False, True], [True, True, True]],
    )


def test_padded_words_get_no_attention_in_a_batch(attention):
    mask = padding_mask_from_lengths(LENGTHS, 6)
    context, maps = attention(FEATURES, WORDS, padding_mask=mask)
    context, maps = context.numpy(), maps.numpy()
    assert maps.shape == (3, 2, 5, 6) and context.shape == FEATURES.shape
    assert not maps[1, ..., 2:].any() and not maps[2].any()
    np.testing.assert_allclose(maps[:2].sum(-1), 1.0, rtol=1e-6)
    # The same as a caption cut to its length, alone.
    cut_context, cut_maps = attention(FEATURES[1:2], WORDS[1:2, :2])
    np.testing.assert_allclose(maps[1:2, ..., :2], cut_maps, atol=1e-6)
    np.testing.assert_allclose(context[1:2], cut_context, atol=1e-6)


def test_caption_without_words_has_zero_context(attention):
    mask = padding_mask_from_lengths(LENGTHS, 6)
    context, _ = attention(FEATURES, WORDS, padding_mask=mask)
    assert not context.numpy()[2].any()


def test_word_attention_matches_equation_4(attention):
    # At one position.
    projected = WORDS @ attention.projection.kernel.numpy()
    scores = FEATURES[0, 1, 2] @ projected[0].T
    weights = np.exp(scores) / np.exp(scores).sum()
    context, maps = attention(FEATURES, WORDS)
    np.testing.assert_allclose(maps[0, 1, 2], weights, rtol=1e-5)
    np.testing.assert_allclose(context[0, 1, 2], weights @ projected[0], rtol=1e-4)


def test_sentence_attention_is_a_softmax_over_channels():
    layer = SentenceAttention(4)
    condition = normal(3, 5)
    context, maps = layer(FEATURES, condition)
    np.testing.assert_allclose(maps.numpy().sum(-1), 1.0, rtol=1e-6)
    sentence = condition @ layer.projection.kernel.numpy()
    np.testing.assert_allclose(context, maps * sentence[:, None, None], rtol=1e-4)


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
