import collections
import re

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, sample_attributes
from mirrorgan_tf.birdlets.grammar import write_captions


@pytest.fixture(scope="module")
def captioned():
    pairs = []
    for index in range(600):
        rng = np.random.default_rng([9, index])
        attributes = sample_attributes(rng)
        pairs.append((attributes, write_captions(attributes, 5, rng)))
    return pairs


def words_of(text):
    return re.findall(r"\w+", text.lower())


def test_captions_have_5_to_25_words_true_statements_and_correct_articles(captioned):
    for attributes, captions in captioned:
        assert len({caption.text for caption in captions}) == 5
        for caption in captions:
            assert 5 <= len(words_of(caption.text)) <= 25, caption.text
            assert caption.states
            assert caption.states.items() <= attributes.items()
            assert not re.search(r"\b(a [aeiou]|an [^aeiou])", caption.text.lower())


def test_captions_vary_in_words_starts_and_lengths(captioned):
    texts = [caption.text for _, captions in captioned for caption in captions]
    starts = collections.Counter(" ".join(words_of(text)[:2]) for text in texts)
    lengths = {len(words_of(text)) for text in texts}
    vocabulary = {word for text in texts for word in words_of(text)}
    assert len(set(texts)) > 0.97 * len(texts)
    assert starts.most_common(1)[0][1] < 0.15 * len(texts)
    assert lengths == set(range(5, 26))
    assert len(vocabulary) > 100


def test_training_captions_have_all_words_of_validation_captions(captioned):
    words = [
        {
            word
            for _, captions in part
            for caption in captions
            for word in words_of(caption.text)
        }
        for part in (captioned[:500], captioned[500:])
    ]
    assert words[1] <= words[0]


def test_every_value_is_stated_and_most_captions_state_the_body_color(captioned):
    stated = collections.defaultdict(list)
    for _, captions in captioned:
        for caption in captions:
            for name, value in caption.states.items():
                stated[name].append(value)
    for name, values in ATTRIBUTES.items():
        assert set(stated[name]) == set(values)
    assert 0.65 < len(stated["body_color"]) / (5 * len(captioned)) < 0.75
