import random
import unicodedata

import pytest
import tensorflow as tf

from mirrorgan_tf.data.reading import clean_caption
from mirrorgan_tf.text.splitting import split_words


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A bird.\n", "A bird."),
        ("  a\n\nred\u00a0\t bird ", "a red bird"),
        ("caf\ufffd\ufffd bird", "caf bird"),
        ("half \ud83d smile", "half smile"),
        ("日本", "日本"),
        ("\n", ""),
        ("...", ""),
        ("_", ""),
        ("7", "7"),
    ],
)
def test_white_space_and_lost_characters_become_single_spaces(text, cleaned):
    assert clean_caption(text) == cleaned


def test_cleaned_random_captions_have_the_same_words():
    rng = random.Random(4)
    pools = [(32, 127), (9, 14), (28, 32), (0x80, 0x250), (0x2000, 0x2070), (0, 9)]
    texts = [
        "".join(chr(rng.randrange(*rng.choice(pools))) for _ in range(30))
        for _ in range(2000)
    ]
    assert any(unicodedata.category(text[0]) == "Zs" for text in texts)
    cleaned = [clean_caption(text) for text in texts]
    assert split_words(tf.constant(cleaned)).to_list() == (
        split_words(tf.constant(texts)).to_list()
    )
