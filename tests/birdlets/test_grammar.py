import collections
import re

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, sample_attributes
from mirrorgan_tf.birdlets.grammar import write_captions

COLORS = "red|orange|yellow|green|blue|purple|pink|brown|black|white|gray|grey"


def of_beak(length):
    return rf"({length})( ({COLORS}))? (beak|bill)|(beak|bill) is ({length})"


# What a reader would take as a mention of an attribute's value.
SAYS = {
    "size": {"small": r"small|little|tiny", "medium": "sized", "large": "large|big"},
    "beak_length": {
        "short": of_beak("short|stubby"),
        "medium": "medium-length",
        "long": of_beak("long|lengthy"),
    },
    "direction": {
        "left": "(facing|looking|to the) left",
        "right": "(facing|looking|to the) right",
    },
    "pose": {
        "standing": "standing|upright",
        "leaning": "leaning|bending",
        "flying": "flying|in flight|in the air",
    },
    "shape": {
        "songbird": "songbird|finch",
        "wren": "wren",
        "swallow": "swallow",
        "duck": "duck",
        "heron": "heron|wader",
    },
    "crest": {"crested": "(?<!without a )crest", "smooth": "smooth|without a crest"},
    "tail": {"short": "short tail|tail is short", "long": "long tail|tail is long"},
    "wing_pattern": {
        "plain": "plain|without bars",
        "barred": "barred|with bars|with stripes",
    },
    "perch": {
        "branch": "branch|twig",
        "rock": "rock|stone|boulder",
        "post": "post",
    },
    "background": {
        "sky": "sky",
        "water": "water",
        "leaves": "leaves",
        "meadow": "meadow|tall grass",
        "sunset": "sunset|evening sun",
    },
}
PARTS = {
    "wing_color": "wings",
    "belly_color": "belly|underside|stomach",
    "head_color": "head|crest and head",
    "beak_color": "beak|bill",
}


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


def test_captions_have_5_to_25_words_and_differ(captioned):
    for _, captions in captioned:
        assert len({caption.text for caption in captions}) == 5
        for caption in captions:
            assert 5 <= len(words_of(caption.text)) <= 25, caption.text


def test_states_are_the_truth(captioned):
    for attributes, captions in captioned:
        for caption in captions:
            assert caption.states
            assert caption.states.items() <= attributes.items()


def test_text_says_what_the_states_say_and_nothing_else(captioned):
    for _, captions in captioned:
        for caption in captions:
            for name, patterns in SAYS.items():
                said = {
                    value
                    for value, pattern in patterns.items()
                    if re.search(rf"\b({pattern})", caption.text.lower())
                }
                stated = {caption.states[name]} if name in caption.states else set()
                assert said == stated, (name, caption)


def test_every_color_word_belongs_to_a_state(captioned):
    for _, captions in captioned:
        for caption in captions:
            said = [
                word for word in words_of(caption.text) if word in COLORS.split("|")
            ]
            stated = [
                value for name, value in caption.states.items() if "_color" in name
            ]
            said = sorted(word.replace("grey", "gray") for word in said)
            assert said == sorted(stated), caption


def test_part_colors_stand_with_their_part(captioned):
    for _, captions in captioned:
        for caption in captions:
            for name, part in PARTS.items():
                if name not in caption.states:
                    continue
                color = caption.states[name].replace("gray", "gr[ae]y")
                pattern = rf"{color} ({part})|({part}) (is|are) (\S+ and )?{color}"
                assert re.search(pattern, caption.text.lower()), caption


def test_body_color_is_stated_in_about_70_percent(captioned):
    stated = [
        "body_color" in caption.states
        for _, captions in captioned
        for caption in captions
    ]
    assert 0.65 < np.mean(stated) < 0.75


def test_articles_fit(captioned):
    for _, captions in captioned:
        for caption in captions:
            assert not re.search(r"\b(a [aeiou]|an [^aeiou])", caption.text.lower())


def test_captions_are_varied(captioned):
    texts = [caption.text for _, captions in captioned for caption in captions]
    starts = collections.Counter(" ".join(words_of(text)[:2]) for text in texts)
    lengths = {len(words_of(text)) for text in texts}
    vocabulary = {word for text in texts for word in words_of(text)}
    assert len(set(texts)) > 0.97 * len(texts)
    assert starts.most_common(1)[0][1] < 0.15 * len(texts)
    assert lengths == set(range(5, 26))
    assert len(vocabulary) > 100


def test_train_words_cover_validation_words(captioned):
    words = [
        {
            word
            for _, captions in part
            for one in captions
            for word in words_of(one.text)
        }
        for part in (captioned[:500], captioned[500:])
    ]
    assert words[1] <= words[0]


def test_every_value_is_told(captioned):
    told = collections.defaultdict(set)
    for _, captions in captioned:
        for caption in captions:
            for name, value in caption.states.items():
                told[name].add(value)
    assert told == {name: set(values) for name, values in ATTRIBUTES.items()}
