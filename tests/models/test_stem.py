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


def test_words_past_the_end_and_sentences_of_empty_captions_are_zero(stem):
    words, sentence, _ = stem(IDS, LENGTHS)
    assert not sentence.numpy()[3].any()
    for row, length in enumerate(LENGTHS):
        assert not words.numpy()[row, length:].any()
        assert words.numpy()[row, :length].all()


def test_ids_in_the_padding_do_not_matter(stem):
    words, sentence, _ = stem(IDS, LENGTHS)
    other = np.where(np.arange(4) < LENGTHS[:, None], IDS, 5).astype(np.int32)
    same_words, same_sentence, _ = stem(other, LENGTHS)
    np.testing.assert_array_equal(words, same_words)
    np.testing.assert_array_equal(sentence, same_sentence)


def test_caption_does_not_depend_on_its_batch_or_on_the_width_of_the_padding(stem):
    words, sentence, _ = stem(IDS, LENGTHS)
    alone, sentence_alone, _ = stem(IDS[1:2, :2], LENGTHS[1:2])
    np.testing.assert_allclose(words[1:2, :2], alone, atol=1e-6)
    np.testing.assert_allclose(sentence[1:2], sentence_alone, atol=1e-6)


def test_sentence_is_last_forward_and_first_backward_state(stem):
    words, sentence, _ = stem(IDS, LENGTHS)
    words, sentence = words.numpy(), sentence.numpy()
    np.testing.assert_allclose(sentence[1, :4], words[1, 1, :4])
    np.testing.assert_allclose(sentence[1, 4:], words[1, 0, 4:])


def test_dropout_drops_and_rescales_by_its_uniform_numbers(stem):
    words, _, _ = stem(IDS, LENGTHS)
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
