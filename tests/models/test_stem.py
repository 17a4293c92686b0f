import numpy as np
import pytest

from mirrorgan_tf.models.stem import Stem

IDS = np.array([[1, 2, 3, 4], [4, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]], np.int32)
LENGTHS = np.array([4, 2, 1, 0], np.int32)


@pytest.fixture(scope="module")
def stem():
    model = Stem(6, embedding_dim=5, words_dim=8)
    model(IDS, LENGTHS)
    return model


def test_nothing_is_said_past_the_end(stem):
    words, _ = stem(IDS, LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert not words.numpy()[row, length:].any()
        assert words.numpy()[row, :length].all()


def test_padding_may_hold_any_id(stem):
    words, sentence = stem(IDS, LENGTHS)
    other = np.where(np.arange(4) < LENGTHS[:, None], IDS, 5).astype(np.int32)
    words_again, sentence_again = stem(other, LENGTHS)
    np.testing.assert_array_equal(words, words_again)
    np.testing.assert_array_equal(sentence, sentence_again)


def test_a_row_does_not_depend_on_its_batch_or_on_the_width_of_the_padding(stem):
    words, sentence = stem(IDS, LENGTHS)
    alone, sentence_alone = stem(IDS[1:2, :2], LENGTHS[1:2])
    np.testing.assert_allclose(words[1:2, :2], alone, atol=1e-6)
    np.testing.assert_allclose(sentence[1:2], sentence_alone, atol=1e-6)


def test_sentence_is_the_last_state_ahead_and_the_first_back(stem):
    words, sentence = stem(IDS, LENGTHS)
    words, sentence = words.numpy(), sentence.numpy()
    np.testing.assert_allclose(sentence[1, :4], words[1, 1, :4])
    np.testing.assert_allclose(sentence[1, 4:], words[1, 0, 4:])


def test_an_empty_caption_is_zero(stem):
    words, sentence = stem(IDS, LENGTHS)
    assert not words.numpy()[3].any() and not sentence.numpy()[3].any()


def test_dropout_keeps_what_its_noise_says(stem):
    words, _ = stem(IDS, LENGTHS)
    kept = np.full((4, 4, 5), 0.5, np.float32)
    doubled = Stem(6, embedding_dim=5, words_dim=8)
    doubled(IDS, LENGTHS)
    doubled.set_weights(stem.get_weights())
    doubled.embedding.embeddings.assign(2 * stem.embedding.embeddings.numpy())
    np.testing.assert_allclose(
        stem(IDS, LENGTHS, dropout_uniform=kept)[0], doubled(IDS, LENGTHS)[0], rtol=1e-5
    )
    dropped = stem(IDS, LENGTHS, dropout_uniform=np.zeros_like(kept))[0]
    doubled.embedding.embeddings.assign(0 * stem.embedding.embeddings.numpy())
    np.testing.assert_array_equal(dropped, doubled(IDS, LENGTHS)[0])
    assert np.abs(words - dropped).max() > 1e-4


def test_odd_words_dim_is_refused():
    with pytest.raises(ValueError, match="words_dim=7"):
        Stem(5, words_dim=7)
