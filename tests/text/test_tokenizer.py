import json
import random
import re
import sys
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.splitting import split_all, split_words
from mirrorgan_tf.text.tokenizer import CaptionTokenizer, sample_words
from mirrorgan_tf.text.vocabulary import Vocabulary

WORDS = ("a", "red", "bird", "with", "black", "wings")


@pytest.fixture(scope="module")
def tokenizer():
    return CaptionTokenizer(Vocabulary(WORDS), max_words=4)


def split_by_python(text):
    """The steps that `split_words` documents, by Python's Unicode tables."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not unicodedata.category(c).startswith("M"))
    words = [w.encode("ascii", "ignore") for w in re.findall(r"\w+", text.lower())]
    return [word for word in words if word]


def split(captions):
    """Words of `split_words`, after a comparison with `split_all`."""
    words = split_words(tf.constant(captions, tf.string)).to_list()
    all_words, counts = split_all(captions)
    assert counts == [len(row) for row in words]
    assert list(map(str.encode, all_words)) == [word for row in words for word in row]
    return words


def test_ascii_captions_match_the_reference(reference):
    golden = json.loads((reference / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = split([entry["caption"] for entry in golden])
    assert tokens == [[t.encode() for t in entry["tokens"]] for entry in golden]


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("naïve ﬁne Ünï", ["naive", "fine", "uni"]),
        ("a日b 日本", ["ab"]),
        ("½ x² İX \u212a", ["1", "2", "x2", "ix", "k"]),
        ("red\u00a0bird\u2014black\u200bwings", ["red", "bird", "black", "wings"]),
        ("", []),
        (" \t\r\n", []),
        ("!?…", []),
        (b"red\xffbird \xc3", ["red", "bird"]),
        (b"red\x00bird\x00", ["red", "bird"]),
        ("red\ufffdbird", ["red", "bird"]),
    ],
)
def test_non_ascii_and_invalid_captions_are_split_as_documented(caption, words):
    assert split([caption]) == [[word.encode() for word in words]]


def test_every_character_of_unicode_3_2_is_split_as_by_python():
    # Newer characters may be unknown either to Python or to TensorFlow.
    known = unicodedata.ucd_3_2_0
    texts = [
        f"a{character}b"
        for character in map(chr, range(sys.maxunicode + 1))
        if known.category(character) not in ("Cn", "Cs")
        and known.category(character) == unicodedata.category(character)
        and not "\uac00" < character <= "\ud7a3"
        and not "\u4e00" < character <= "\u9fff"
    ]
    assert len(texts) > 10_000
    assert split(texts) == [split_by_python(text) for text in texts]


def test_random_bytes_are_split_as_by_python():
    rng = random.Random(2)
    texts = [
        bytes(
            rng.choice(b"aB_ 0\x80\xbf\xc3\xa9\xe2\x82\xac\xed\xa0\xf0\x9f\xff\x00")
            for _ in range(rng.randrange(24))
        )
        for _ in range(3000)
    ]
    expected = [split_by_python(text.decode("utf-8", "replace")) for text in texts]
    assert split(texts) == expected


def test_ids_are_cut_padded_and_without_unknown_words(tokenizer):
    ids, lengths = tokenizer(["A red OWL, black", "", "owl", "a a a a bird", b"\xff"])
    assert ids.dtype == lengths.dtype == "int32"
    np.testing.assert_array_equal(
        ids, [[1, 2, 5, 0], [0] * 4, [0] * 4, [1] * 4, [0] * 4]
    )
    np.testing.assert_array_equal(lengths, [3, 0, 0, 4, 0])
    assert tokenizer.tokenize(["a a a a bird"]).to_list() == [[1, 1, 1, 1, 3]]


def test_a_list_and_a_tensor_give_the_same_ids(tokenizer):
    captions = ["an owl", "", "Réd bird?", b"wings\x00a", "with \0 black", b"\xff", "a"]
    expected = [[], [], [2, 3], [6, 1], [4, 5], [], [1]]
    assert tokenizer.tokenize(tf.constant(captions)).to_list() == expected
    assert tokenizer.tokenize(captions).to_list() == expected
    assert tokenizer.tokenize([]).to_list() == []
    assert tokenizer.tokenize(["", "owl"]).to_list() == [[], []]


def test_a_single_string_gives_a_single_row(tokenizer):
    ids, length = tokenizer("red zebra bird")
    np.testing.assert_array_equal(ids, [2, 3, 0, 0])
    assert int(length) == 2


@pytest.mark.parametrize(
    ("caption", "first", "count"),
    [
        ("red bird " * 5000, [2, 3, 2, 3], 10_000),
        ("x" * 1_000_000 + " red", [2, 0, 0, 0], 1),
        ("é" * 500_000 + " red", [2, 0, 0, 0], 1),
        (b"\xff" * 1_000_000 + b"red", [2, 0, 0, 0], 1),
    ],
)
def test_huge_captions_are_tokenized(tokenizer, caption, first, count):
    ids, lengths = tokenizer(["a", caption])
    np.testing.assert_array_equal(ids, [[1, 0, 0, 0], first])
    np.testing.assert_array_equal(lengths, [1, min(count, 4)])
    assert tokenizer.tokenize([caption]).flat_values.shape == (count,)


def test_detokenize_joins_words_up_to_the_first_zero(tokenizer):
    texts = tokenizer.detokenize([[2, 3, 0, 0], [1, 0, 3, 3], [0, 0, 0, 0]])
    assert texts.numpy().tolist() == [b"red bird", b"a", b""]
    ragged = tokenizer.detokenize(tokenizer.tokenize(["a red bird", "", "wings"]))
    assert ragged.numpy().tolist() == [b"a red bird", b"", b"wings"]
    assert tokenizer.detokenize([4, 5, 6]).numpy() == b"with black wings"


def test_words_and_ids_map_to_each_other(tokenizer):
    assert tokenizer.vocabulary_size() == 7
    assert tokenizer.get_vocabulary() == ["", *WORDS]
    for word_id, word in enumerate(tokenizer.get_vocabulary()):
        assert tokenizer.token_to_id(word) == word_id
        assert tokenizer.id_to_token(word_id) == word
    with pytest.raises(ValueError, match="zebra"):
        tokenizer.token_to_id("zebra")
    with pytest.raises(ValueError, match="7"):
        tokenizer.id_to_token(7)


def test_tokenizer_is_restored_from_config_and_assets(tokenizer, tmp_path):
    tokenizer.save_assets(str(tmp_path))
    restored = CaptionTokenizer.from_config(tokenizer.get_config())
    with pytest.raises(ValueError, match="vocabulary"):
        restored(["red"])
    restored.load_assets(str(tmp_path))
    assert restored.max_words == tokenizer.max_words
    np.testing.assert_array_equal(restored(["a bird"])[0], tokenizer(["a bird"])[0])


def test_tokenizing_a_dataset_keeps_static_shapes(tokenizer):
    captions = tf.constant(["a red bird", "owl", "black wings"])
    dataset = tf.data.Dataset.from_tensor_slices(captions).batch(2).map(tokenizer)
    assert dataset.element_spec[0].shape.as_list() == [None, 4]
    ids = np.concatenate([ids for ids, _ in dataset.as_numpy_iterator()])
    np.testing.assert_array_equal(ids, tokenizer(captions)[0])


def test_sampled_words_are_a_random_subset_in_order():
    ids = tf.range(10, 20)
    sampled = set()
    for seed in range(40):
        kept = sample_words(ids, 4, (seed, 0)).numpy()
        assert len(kept) == 4
        assert (np.diff(kept) > 0).all()
        sampled.update(kept.tolist())
    assert sampled == set(range(10, 20))
    same_seed = [sample_words(ids, 4, (3, 1)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same_seed)
    # Of a short caption all words are kept.
    np.testing.assert_array_equal(sample_words(tf.constant([5, 2]), 4, (0, 0)), [5, 2])


def test_max_words_below_one_is_refused():
    with pytest.raises(ValueError, match="max_words=0"):
        CaptionTokenizer(Vocabulary(WORDS), max_words=0)


def test_missing_assets_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match="vocabulary.txt"):
        CaptionTokenizer().load_assets(str(tmp_path))
