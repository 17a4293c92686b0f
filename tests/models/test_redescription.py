import itertools

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.models.stream import StreamDecoder

WORDS = 4


def _features(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)


def _decoder(vocabulary_size, seed=0):
    decoder = StreamDecoder(vocabulary_size, embedding_dim=3, hidden_dim=5)
    decoder(_features(1), np.zeros((1, 2), np.int32))
    random = np.random.default_rng(seed)
    decoder.set_weights(
        [random.normal(size=w.shape, scale=1.5) for w in decoder.get_weights()]
    )
    return decoder


@pytest.fixture(scope="module")
def decoder():
    return _decoder(3, seed=1)


def test_likelihoods_of_all_captions_sum_to_one(decoder):
    captions = []
    for length in range(WORDS + 1):
        for words in itertools.product(
            range(1, decoder.vocabulary_size), repeat=length
        ):
            captions.append([*words, *[0] * (WORDS - length)])
    ids = np.array(captions, np.int32)
    features = np.repeat(_features(1), len(ids), 0)
    scores = log_likelihood(decoder, features, ids).numpy()
    np.testing.assert_allclose(np.exp(scores).sum(), 1.0, rtol=1e-4)


def test_greedy_takes_the_likeliest_word_until_the_end():
    decoder = _decoder(5, seed=1)
    features = _features(8)
    ids = greedy(decoder, features, 6).numpy()
    logits = decoder(features, ids).numpy()
    for row in range(len(ids)):
        ended = False
        for place in range(6):
            expected = 0 if ended else logits[row, place].argmax()
            assert ids[row, place] == expected
            ended |= ids[row, place] == 0
    assert (ids == 0).any() and (ids > 0).any()


def test_greedy_without_stop_at_end_goes_on_after_the_end():
    decoder = _decoder(5, seed=1)
    features = _features(8)
    ids = greedy(decoder, features, 6, stop_at_end=False).numpy()
    np.testing.assert_array_equal(ids, decoder(features, ids).numpy().argmax(-1))
    assert (ids[greedy(decoder, features, 6).numpy() == 0] > 0).any()


def test_one_trace_of_greedy_serves_every_batch_size(decoder):
    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def search(features):
        return greedy(decoder, features, WORDS)

    for rows in (1, 4):
        features = _features(rows)
        expected = greedy(decoder, features, WORDS)
        np.testing.assert_array_equal(search(features), expected)
