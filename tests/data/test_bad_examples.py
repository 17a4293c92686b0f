import dataclasses
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf.data.bad_examples import BadExamples, data_errors
from mirrorgan_tf.data.images import decode_images
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary

COUNT, BATCH = 300, 8
CUT, MISSING, EMPTY = 11, 170, 229


@pytest.fixture(scope="module")
def good_index(tmp_path_factory):
    """300 tiny images, each of one colour."""
    folder = tmp_path_factory.mktemp("good")
    paths = [str(folder / f"{row}.jpg") for row in range(COUNT)]
    for row, path in enumerate(paths):
        PIL.Image.new("RGB", (24, 20), (row % 256, 40, 200)).save(path)
    captions = tuple((f"bird {row}",) for row in range(COUNT))
    return CaptionedImages(tuple(paths), captions, np.arange(COUNT), np.arange(COUNT))


@pytest.fixture(scope="module")
def index(good_index, tmp_path_factory):
    """The same images, of which three are bad: 1 %, the most that are skipped."""
    folder = tmp_path_factory.mktemp("bad")
    paths = [shutil.copy(path, folder) for path in good_index.paths]
    content = open(paths[CUT], "rb").read()
    open(paths[CUT], "wb").write(content[: len(content) - 40])
    paths[MISSING] = str(folder / "nowhere.jpg")
    open(paths[EMPTY], "wb").close()
    return dataclasses.replace(good_index, paths=tuple(paths))


def make(index, policy="fail", training=True, **changes):
    tokenizer = CaptionTokenizer(Vocabulary(["bird"]), 2)
    arguments = {"sizes": (16,), "batch_size": BATCH, "seed": 5, "max_words": 2}
    arguments |= {"bad_examples": BadExamples(index, policy), **changes}
    return make_dataset(index, tokenizer, training=training, **arguments)


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


@pytest.mark.parametrize("training", [True, False])
def test_policy_fail_stops_at_a_bad_image_and_names_it(index, training):
    with pytest.raises(UserError) as error, data_errors():
        take(make(index, training=training), COUNT // BATCH + 1)
    assert any(index.paths[row] in str(error.value) for row in (CUT, MISSING, EMPTY))
    assert "--on_bad_example=skip" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [(CUT, "truncated"), (MISSING, "can't be read"), (EMPTY, "is empty")],
)
def test_the_error_says_why_the_image_cannot_be_read(index, row, reason):
    with pytest.raises(UserError, match=f"(?i){index.paths[row]}: .*{reason}"):
        BadExamples(index).report([row])


def test_skipped_images_are_replaced_and_other_examples_stay_the_same(
    good_index, index, monkeypatch
):
    steps = 2 * COUNT // BATCH
    before = take(make(good_index), steps)
    bad_examples, names = BadExamples(index, "skip"), []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *values: names.append(text % values)
    )
    after = take(make(index, bad_examples=bad_examples), steps)
    replaced = []
    for batch, other in zip(before, after, strict=True):
        bad = np.isin(batch["index"], [CUT, MISSING, EMPTY])
        replaced += other["index"][bad].tolist()
        np.testing.assert_array_equal(batch["index"][~bad], other["index"][~bad])
        np.testing.assert_array_equal(
            batch["images"][0][~bad], other["images"][0][~bad]
        )
        for row, (caption,), image in zip(
            other["index"], other["captions"], other["images"][0], strict=True
        ):
            assert caption.decode() == f"bird {row}"
            assert abs((image[0, 0, 0] + 1) * 127.5 - row % 256) < 4
    # Each of the three is replaced in both epochs, and by different images.
    assert len(replaced) == 6 and len(set(replaced)) > 3
    assert not set(replaced) & {CUT, MISSING, EMPTY}
    assert bad_examples.rows == {CUT, MISSING, EMPTY}
    assert len(names) == 3
    for row in (CUT, MISSING, EMPTY):
        assert sum(index.paths[row] in text for text in names) == 1
    # The replacements depend only on seed and position.
    later = make(index, "skip", start_step=17)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 5
    for batch, other in zip(
        after[17:], take(later.with_options(options), steps - 17), strict=True
    ):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_evaluation_leaves_out_bad_images(index):
    batches = take(make(index, "skip", training=False), 99)
    rows = np.concatenate([batch["index"] for batch in batches])
    good = [row for row in range(COUNT) if row not in (CUT, MISSING, EMPTY)]
    np.testing.assert_array_equal(rows, good)
    alone = make(index, "skip", training=False, batch_size=1, start_step=9)
    assert [int(batch["index"][0]) for batch in take(alone, 4)] == [9, 10, 12, 13]


def test_batches_from_memory_and_from_files_replace_the_same_images(index):
    with pytest.raises(UserError, match="(?i)truncated"), data_errors():
        decode_images(index, 16)
    decoded = decode_images(index, 16, BadExamples(index, "skip"))
    in_memory = take(make(index, "skip", cache=decoded), 40)
    from_files = take(make(index, "skip"), 40)
    for batch, other in zip(from_files, in_memory, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_more_than_one_percent_of_bad_images_stop_a_training(index):
    dataset = make(index.select(range(240)), "skip")
    with pytest.raises(UserError, match="3 of 240 images are bad, more than 1%"):
        with data_errors():
            take(dataset, 240 // BATCH + 1)


def test_replacements_that_are_all_bad_are_a_user_error():
    rows = np.arange(5000)
    paths = tuple(f"/gone/{row}.jpg" for row in rows)
    dataset = make(CaptionedImages(paths, (("a",),) * 5000, rows, rows), "skip")
    with pytest.raises(UserError, match="images in a row are bad.*/gone/"):
        with data_errors():
            take(dataset, 1)


def test_the_check_before_a_training_finds_missing_empty_and_damaged_files(index):
    with pytest.raises(UserError, match="(?i)truncated"):
        BadExamples(index).check(sample=COUNT)
    quick = BadExamples(index, "skip")
    quick.check(sample=2)
    assert quick.rows == {MISSING, EMPTY}
    quick.check(sample=COUNT)
    assert quick.rows == {MISSING, EMPTY, CUT}


def test_other_tensorflow_errors_are_not_changed():
    with pytest.raises(tf.errors.InvalidArgumentError), data_errors():
        raise tf.errors.InvalidArgumentError(None, None, "something else")


def test_an_unknown_policy_is_refused(index):
    with pytest.raises(ValueError, match="policy='ignore'"):
        BadExamples(index, "ignore")
