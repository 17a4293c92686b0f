import re
import shutil

import numpy as np
import PIL.Image
import pytest

from mirrorgan_tf import check as check_command
from mirrorgan_tf.check import parse_decode
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.check_report import check, show_samples
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.sources import guess_dataset, open_dataset
from mirrorgan_tf.errors import UserError
from tests.conftest import ROOT
from tests.data import trees

SMALL = {"base_size": 16, "scales": 1, "max_words": 8}


def report(data_dir, *, decode=None, **settings):
    config = Config.from_flags(
        dataset=guess_dataset(data_dir), data_dir=str(data_dir), **SMALL | settings
    )
    return check(open_dataset(config), config, decode=decode)


def row(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize(
    ("make", "dataset"),
    [
        (trees.make_coco, "coco"),
        (lambda folder: trees.make_coco(folder, year=2017), "coco"),
        (trees.make_cub_original, "cub"),
        (lambda folder: trees.make_cub_original(folder / "CUB_200_2011").parent, "cub"),
        (trees.make_cub_preprocessed, "cub"),
        (trees.make_folder, "folder"),
    ],
)
def test_layouts_are_recognised_and_have_no_errors(tmp_path, make, dataset):
    data_dir = make(tmp_path / "set")
    assert guess_dataset(data_dir) == dataset
    text, stops = report(data_dir)
    assert not stops, text
    assert "can't be decoded" not in text


def test_the_report_has_the_figures_and_warnings_of_a_small_folder(tmp_path):
    texts = {
        "train/a": ["a red bird", "a red bird", "one two three four five six 7 8 9"],
        "train/b": ["日本"],
        "val/c": ["a bird.", "A BLUE bird"],
    }
    for name, captions in texts.items():
        trees.write_image(tmp_path / f"{name}.png", 30, 20)
        (tmp_path / f"{name}.txt").write_text("\n".join(captions))
    shutil.copy(tmp_path / "train" / "a.png", tmp_path / "val" / "c.png")
    trees.write_image(tmp_path / "train" / "b.png", 12, 40, mode="L")
    text, stops = report(tmp_path)
    assert not stops
    assert row(text, "images ") == ["2", "1"]
    assert row(text, "captions ") == ["4", "2"]
    assert row(text, "captions an image") == ["1, 2, 3", "2, 2, 2"]
    assert row(text, "words in the vocabulary") == ["100.0%", "100.0%"]
    # Words of the captions, sorted: 0, 3, 3, 9 and 2, 3.
    assert row(text, "such words a caption") == ["3, 7, 9, 9", "2, 3, 3, 3"]
    assert row(text, "captions of more than --max_words=8") == ["25.0%", "0.0%"]
    assert row(text, "shorter side in px") == ["12, 16, 20", "20, 20, 20"]
    assert row(text, "kinds") == ["PNG RGB 1, PNG L 1", "PNG RGB 1"]
    assert "vocabulary: 13 words" in text
    for warning in (
        r"train: captions without a known word: 1 \('日本'\)",
        r"train: images to enlarge, smaller than 16 px: 1 \(.*train/b.png: 12×40\)",
        r"validation images that are training images too: 1, first "
        r".*val/c.png = .*train/a.png",
    ):
        assert re.search(f"^warning: {warning}$", text, re.M), text
    assert text.count("warning: ") == 3


def test_bad_images_are_a_warning_until_they_are_more_than_one_percent(tmp_path):
    trees.make_folder(tmp_path, images=100, val_images=1)
    for number, stops in ((0, False), (1, True)):
        (tmp_path / "train" / f"shelf{number}" / f"bird {number * 5}.jpg").write_bytes(
            b"no image"
        )
        text, stopped = report(tmp_path, on_bad_example="skip")
        assert stopped == stops, text
        kind = "error" if stops else "warning"
        assert f"{kind}: train: images that can't be decoded: {number + 1} (" in text


def test_decode_limits_the_images_in_which_errors_are_found(tmp_path):
    trees.make_folder(tmp_path, images=9, val_images=1)
    (tmp_path / "train" / "shelf0" / "bird 0.jpg").write_bytes(b"")
    text, stops = report(tmp_path, decode=0)
    assert not stops
    assert row(text, "shorter side in px") == ["–", "–"]
    text, stops = report(tmp_path, decode=3)
    assert stops
    assert row(text, "images decoded") == ["2", "1"]
    assert re.search(
        r"^error: train: images that can't be decoded: 1 \(.*bird 0.jpg: is empty\)$",
        text,
        re.M,
    )


def test_captions_are_compared_with_the_words_of_captions_pickle(tmp_path):
    birds = trees.make_cub_preprocessed(tmp_path)
    path = birds / "CUB_200_2011" / "images.txt"
    key = path.read_text().split()[1].removesuffix(".jpg")
    (birds / "text" / f"{key}.txt").write_text("zebra\n" * 10)
    text, _ = report(birds, captions_pickle=str(birds / "captions.pickle"))
    assert "val: captions without a known word: 10 ('zebra'" in text


def test_the_picture_of_examples_shows_boxes_and_omits_bad_images(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (160, 80), "blue").save(path)
    (tmp_path / "bad.png").write_bytes(b"")
    index = CaptionedImages(
        paths=(str(path), str(tmp_path / "bad.png")),
        captions=(("a bird",), ("no bird",)),
        class_ids=[1, 1],
        image_ids=[1, 2],
        boxes=[[40, 20, 60, 40], [0, 0, 1, 1]],
    )
    sheet = show_samples(index).astype(int)
    red = (sheet == (255, 0, 0)).all(-1)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    # The image is drawn at its own width of 160 px, so that the box keeps its size.
    assert rows[-1] - rows[0] == 40
    assert columns[-1] - columns[0] == 60


def test_there_is_no_picture_if_pillow_fails_for_all_examples(tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    trees.write_image(path)
    index = CaptionedImages((str(path),), (("a bird",),), [1], [1])

    def fail(*_):
        raise SyntaxError

    monkeypatch.setattr(PIL.ImageOps, "exif_transpose", fail)
    assert show_samples(index) is None


@pytest.mark.parametrize("text", ["", "some", "-1", "1.5"])
def test_an_invalid_decode_flag_is_a_user_error(text):
    with pytest.raises(UserError, match=f"--decode={text}: must be all, none or"):
        parse_decode(text)


def test_the_command_prints_a_report_and_writes_a_picture(run_command, tmp_path):
    cub = trees.make_cub_original(tmp_path / "CUB_200_2011")
    next((cub / "images").rglob("*.jpg")).write_bytes(b"no image")
    out = tmp_path / "pictures" / "check.png"
    flagfile = f"--flagfile={ROOT}/flags/cub.cfg"
    status, lines, err = run_command(
        check_command, flagfile, f"--data_dir={cub}", f"--out={out}"
    )
    assert status == 1, err
    assert lines[0] == f"{cub}: --dataset=cub"
    text = "\n".join(lines)
    assert row(text, "images ") == ["18", "6"]
    assert "every fourth class" in text
    assert "can't be decoded: 1 (" in text
    assert PIL.Image.open(out).width > 500
