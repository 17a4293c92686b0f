import pickle

import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary

CAPTIONS = ["A red bird", "a blue bird!", "the bird's wings", "", "日本 a"]


def test_words_are_ordered_by_count_then_alphabet():
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    assert vocabulary.words == ("a", "bird", "blue", "red", "s", "the", "wings")
    assert Vocabulary.from_captions(CAPTIONS[::-1]) == vocabulary


def test_rare_words_are_left_out():
    assert Vocabulary.from_captions(CAPTIONS, minimum_count=3).words == ("a", "bird")
    assert len(Vocabulary.from_captions(CAPTIONS, minimum_count=4)) == 0
    with pytest.raises(ValueError, match="minimum_count=0"):
        Vocabulary.from_captions(CAPTIONS, minimum_count=0)


def test_words_of_several_parts_of_captions_are_counted():
    vocabulary = Vocabulary.from_captions(
        "often" if place else "rare" for place in range(40_000)
    )
    assert vocabulary.words == ("often", "rare")


def test_line_k_of_the_file_holds_word_k(tmp_path):
    vocabulary = Vocabulary.from_captions(CAPTIONS)
    vocabulary.save(tmp_path / "words.txt")
    lines = (tmp_path / "words.txt").read_bytes().decode().splitlines()
    for number, line in enumerate(lines, start=1):
        assert vocabulary.id(line) == number
        assert vocabulary.word(number) == line
    assert Vocabulary.load(tmp_path / "words.txt") == vocabulary


@pytest.mark.parametrize(
    "content", [b"red\n\nbird\n", b"red\nred\n", b"red bird\n", b"\xff\xfe\n", None]
)
def test_broken_and_missing_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(UserError, match="words.txt"):
        Vocabulary.load(tmp_path / "words.txt")


@pytest.mark.parametrize("word_id", [0, -1, 3])
def test_ids_out_of_range_are_refused(word_id):
    with pytest.raises(ValueError, match="expected 1 to 2"):
        Vocabulary(["red", "bird"]).word(word_id)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="'owl'"):
        Vocabulary(["red", "bird"]).id("owl")
    assert "owl" not in Vocabulary(["red"])
    assert "red" in Vocabulary(["red"])


WORDS_BY_ID = {0: "<end>", 1: "owl", 2: "a", 3: "red"}
IDS_BY_WORD = {"<end>": 0, "owl": 1, "a": 2, "red": 3}


def write_pickle(path, *content, protocol=2):
    path.write_bytes(pickle.dumps(list(content), protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_word_ids_of_captions_pickle_are_kept(tmp_path, protocol):
    path = write_pickle(
        tmp_path / "captions.pickle",
        [[2, 3, 1]],
        [[1]],
        WORDS_BY_ID,
        IDS_BY_WORD,
        protocol=protocol,
    )
    vocabulary = Vocabulary.from_captions_pickle(path)
    assert len(vocabulary) + 1 == len(WORDS_BY_ID)
    for word, word_id in IDS_BY_WORD.items():
        if word_id:
            assert vocabulary.id(word) == word_id
            assert vocabulary.word(word_id) == word


@pytest.mark.parametrize(
    "content",
    [
        ([], [], WORDS_BY_ID),
        ([], [], {}, {}),
        ([], [], {1: "a"}, {"a": 1}),
        ([], [], {0: "<end>", 2: "a"}, {"<end>": 0, "a": 2}),
        ([], [], {0: "a", 1: "<end>"}, {"a": 0, "<end>": 1}),
        ([], [], WORDS_BY_ID, IDS_BY_WORD | {"owl": 2}),
        ([], [], WORDS_BY_ID, {"<end>": 0}),
        ([], [], WORDS_BY_ID | {3: "a"}, IDS_BY_WORD),
        ([], [], WORDS_BY_ID | {3: "two words"}, IDS_BY_WORD | {"two words": 3}),
        ([], [], WORDS_BY_ID | {3: 7}, {"<end>": 0, "owl": 1, "a": 2, 7: 3}),
        ([], [], WORDS_BY_ID | {3: [7]}, IDS_BY_WORD),
        ([], [], 3, 4),
        # A few ids of a long word would become a caption of many letters.
        ([], [], WORDS_BY_ID | {3: "a" * 201}, IDS_BY_WORD | {"a" * 201: 3}),
        ([], [], {0: ["a" * 9] * 9_000}, {}),
    ],
)
def test_pickles_that_are_not_attngans_are_refused(tmp_path, content):
    path = write_pickle(tmp_path / "captions.pickle", *content)
    with pytest.raises(UserError, match="captions.pickle: not AttnGAN's") as caught:
        Vocabulary.from_captions_pickle(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_other_editors_are_read(tmp_path, encoding):
    path = tmp_path / "words.txt"
    path.write_bytes("owl\r\nbird".encode(encoding))
    assert Vocabulary.load(path).words == ("owl", "bird")
