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
def sound(tmp_path_factory):
    """300 tiny images, each of one colour."""
    folder = tmp_path_factory.mktemp("sound")
    paths = [str(folder / f"{row}.jpg") for row in range(COUNT)]
    for row, path in enumerate(paths):
        PIL.Image.new("RGB", (24, 20), (row % 256, 40, 200)).save(path)
    captions = tuple((f"bird {row}",) for row in range(COUNT))
    return CaptionedImages(tuple(paths), captions, np.arange(COUNT), np.arange(COUNT))


@pytest.fixture(scope="module")
def index(sound, tmp_path_factory):
    """The same, with three bad files: 1 % and no more."""
    folder = tmp_path_factory.mktemp("bad")
    paths = [shutil.copy(path, folder) for path in sound.paths]
    content = open(paths[CUT], "rb").read()
    open(paths[CUT], "wb").write(content[: len(content) - 40])
    paths[MISSING] = str(folder / "nowhere.jpg")
    open(paths[EMPTY], "wb").close()
    return CaptionedImages(
        tuple(paths), sound.captions, sound.class_ids, sound.image_ids
    )


def make(index, policy="fail", training=True, **changes):
    tokenizer = CaptionTokenizer(Vocabulary(["bird"]), 2)
    arguments = {"sizes": (16,), "batch_size": BATCH, "seed": 5, "max_words": 2}
    arguments |= {"bad_examples": BadExamples(index, policy), **changes}
    return make_dataset(index, tokenizer, training=training, **arguments)


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_policy_fail_names_the_file_and_the_reason(index):
    for training in (True, False):
        with pytest.raises(UserError) as error, data_errors():
            take(make(index, training=training), COUNT // BATCH + 1)
        assert any(
            index.paths[row] in str(error.value) for row in (CUT, MISSING, EMPTY)
        )
        assert "--on_bad_example=skip" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [(CUT, "truncated"), (MISSING, "can't be read"), (EMPTY, "is empty")],
)
def test_the_error_says_what_is_wrong_with_the_image(index, row, reason):
    with pytest.raises(UserError, match=f"(?i){index.paths[row]}: .*{reason}"):
        BadExamples(index).report([row])


def test_skipped_images_are_replaced_and_other_examples_stay_the_same(
    sound, index, monkeypatch
):
    steps = 2 * COUNT // BATCH
    before = take(make(sound), steps)
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
    # Each of the three twice, in two epochs, by different images.
    assert len(replaced) == 6 and len(set(replaced)) > 3
    assert not set(replaced) & {CUT, MISSING, EMPTY}
    assert bad_examples.rows == {CUT, MISSING, EMPTY}
    assert len(names) == 3
    for row in (CUT, MISSING, EMPTY):
        assert sum(index.paths[row] in text for text in names) == 1
    # They depend on nothing but seed and position.
    later = make(index, "skip", start_step=17)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 5
    for batch, other in zip(
        after[17:], take(later.with_options(options), steps - 17), strict=True
    ):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_evaluation_omits_bad_images(index):
    batches = take(make(index, "skip", training=False), 99)
    rows = np.concatenate([batch["index"] for batch in batches])
    good = [row for row in range(COUNT) if row not in (CUT, MISSING, EMPTY)]
    np.testing.assert_array_equal(rows, good)
    alone = make(index, "skip", training=False, batch_size=1, start_step=9)
    assert [int(batch["index"][0]) for batch in take(alone, 4)] == [9, 10, 12, 13]


def test_images_in_memory_follow_the_same_policy(index):
    with pytest.raises(UserError, match="(?i)truncated"), data_errors():
        decode_images(index, 16)
    decoded = decode_images(index, 16, BadExamples(index, "skip"))
    in_memory = take(make(index, "skip", cache=decoded), 40)
    from_files = take(make(index, "skip"), 40)
    for batch, other in zip(from_files, in_memory, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_more_than_one_percent_of_bad_images_stop_a_run(index):
    few = CaptionedImages(
        index.paths[:240], index.captions[:240], np.arange(240), np.arange(240)
    )
    with pytest.raises(UserError, match="3 of 240 images are bad, more than 1%"):
        with data_errors():
            take(make(few, "skip"), 240 // BATCH + 1)


def test_a_missing_folder_is_a_user_error(index):
    paths = tuple(f"/gone/{row}.jpg" for row in range(5000))
    gone = CaptionedImages(paths, (("a",),) * 5000, np.arange(5000), np.arange(5000))
    with pytest.raises(UserError, match="images in a row are bad.*/gone/"):
        with data_errors():
            take(make(gone, "skip"), 1)


def test_the_check_before_a_run_reports_missing_empty_and_bad_files(index):
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
