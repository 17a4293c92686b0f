import shutil

import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.data.check_report import check
from mirrorgan_tf.data.packing import pack
from mirrorgan_tf.data.sources import choose_vocabulary, open_dataset
from mirrorgan_tf.data.verdict import announce, examine
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training_run import Training
from tests.data import trees

SMALL = {"base_size": 16, "scales": 1, "max_words": 8}


def config_of(data_dir, dataset="folder", **settings):
    return Config.from_flags(
        dataset=dataset, data_dir=str(data_dir), **SMALL | settings
    )


def verdict_of(config):
    splits = open_dataset(config)
    return examine(splits, choose_vocabulary(config, splits), config.text.max_words)


@pytest.fixture
def messages(monkeypatch):
    """What is logged, by level."""
    logged = {"info": [], "warning": []}
    for level, texts in logged.items():
        monkeypatch.setattr(
            f"absl.logging.{level}",
            lambda text, *values, texts=texts: texts.append(text % values),
        )
    return logged


@pytest.fixture
def folder(tmp_path):
    """A folder with one example of each problem."""
    folder = trees.make_folder(tmp_path / "set", images=4, val_images=3)
    shelf = folder / "train" / "shelf0"
    trees.write_image(shelf / "alone.webp")
    (shelf / "photo.heic").write_bytes(b"?")
    (shelf / "photo.txt").write_text("a bird")
    trees.write_image(folder / "test" / "a.png")
    shutil.copy(shelf / "bird 0.jpg", folder / "val" / "copy.jpg")
    (folder / "val" / "copy.txt").write_text("красная bird\n...\n日本\n")
    trees.write_image(folder / "val" / "b.png")
    (folder / "val" / "b.txt").write_bytes(b"a caf\xe9 bird")
    return folder


def test_problems_of_files_and_captions_are_warnings_with_a_count_and_a_name(folder):
    verdict = verdict_of(config_of(folder))
    assert not verdict.errors
    assert verdict.notes == ("training: train; validation: val",)
    val = folder / "val"
    for expected in (
        "text files without an image, left out: 2, first README.txt",
        "files that are neither images nor text, left out: 1, first "
        "train/shelf0/photo.heic",
        "images outside the folders of the splits, left out: 1, first test/a.png",
        "images without a caption, left out: 1, first "
        f"{folder}/train/shelf0/alone.webp",
        f"empty captions, left out: 1, first of {val}/copy.jpg",
        "captions with characters that can't be read (not UTF-8?): 1, first "
        f"{val}/b.txt: line 1",
        f"validation images that are training images too: 1, first {val}/copy.jpg = "
        f"{folder}/train/shelf0/bird 0.jpg",
        "val: captions that lose letters, which are not ASCII: 1 ('красная bird')",
        "val: captions without a known word: 1 ('日本')",
    ):
        assert expected in verdict.warnings


def test_check_prepare_and_train_report_the_same(folder, tmp_path, messages):
    config = config_of(folder)
    verdict = verdict_of(config)
    report, stops = check(open_dataset(config), config, decode=0)
    assert not stops
    for warning in verdict.warnings:
        assert f"\nwarning: {warning}" in report
    Training(config, tmp_path, tf.distribute.get_strategy())
    assert set(verdict.notes) <= set(messages["info"])
    assert messages["warning"] == list(verdict.warnings)
    messages["warning"].clear()
    # The command `prepare` calls this function.
    announce(verdict)
    assert messages["warning"] == list(verdict.warnings)
    packed = tmp_path / "packed"
    pack(
        open_dataset(config),
        packed,
        dataset="folder",
        size=16,
        notes=verdict.notes,
        remarks=verdict.remarks,
    )
    assert verdict_of(config_of(packed)).warnings == verdict.warnings


@pytest.mark.parametrize(
    ("captions", "settings"),
    [("日本\nчто", {}), ("a bird", {"min_word_count": 1000}), ("\u0660\u0661", {})],
)
def test_captions_without_known_words_are_an_error_in_all_commands(
    tmp_path, captions, settings
):
    data_dir = tmp_path / "set"
    for name in "abc":
        trees.write_image(data_dir / f"{name}.png")
        (data_dir / f"{name}.txt").write_text(captions)
    config = config_of(data_dir, **settings)
    splits = open_dataset(config)
    report, stops = check(splits, config, decode=0)
    message = "train: no caption has a known word"
    assert stops and f"error: {message}" in report
    with pytest.raises(UserError, match=message):
        announce(verdict_of(config))
    workdir = tmp_path / "run"
    workdir.mkdir()
    with pytest.raises(UserError, match=message):
        Training(config, workdir, tf.distribute.get_strategy())
    # After the captions are corrected, the run must not continue with this vocabulary.
    assert not (workdir / "vocabulary.txt").exists()


def test_too_many_pixels_are_refused_by_all_commands(tmp_path, monkeypatch):
    data_dir = trees.make_folder(tmp_path / "set", images=2, val_images=1)
    big = data_dir / "train" / "big.jpg"
    PIL.Image.new("RGB", (50, 41)).save(big)
    big.with_suffix(".txt").write_text("a bird")
    config = config_of(data_dir)
    # Images may have twice as many pixels.
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1024)
    message = "big.jpg: has more than 2,048 pixels, too many to decode"
    report, stops = check(open_dataset(config), config)
    assert stops and message in report
    with pytest.raises(UserError, match=message):
        Training(config, tmp_path, tf.distribute.get_strategy())
    with pytest.raises(UserError, match=message):
        pack(open_dataset(config), tmp_path / "packed", dataset="folder", size=16)
