import re

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import sample_attributes
from mirrorgan_tf.birdlets.grammar import write_captions
from mirrorgan_tf.birdlets.reading import read_states


def test_read_states_returns_exactly_the_states_of_written_captions():
    rng = np.random.default_rng(0)
    for _ in range(500):
        for caption in write_captions(sample_attributes(rng), 3, rng):
            assert read_states(caption.text) == caption.states
            # The tokenizer drops capitals and punctuation.
            words = " ".join(re.findall(r"\w+", caption.text.lower()))
            assert read_states(words) == caption.states


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("", {}),
        ("a bird", {}),
        ("red red red", {}),
        ("a bird with a red tail", {}),
        ("a red bird with a blue", {"body_color": "red"}),
        ("a green beak and a pink head", {}),
        ("a red bird a blue bird", {"body_color": "red"}),
    ],
)
def test_incomplete_phrases_state_nothing(text, states):
    assert read_states(text) == states
