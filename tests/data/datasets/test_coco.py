import json

import numpy as np
import PIL.Image
import pytest

from mirrorgan_tf.data.datasets.coco import read_coco, read_coco_jsons
from mirrorgan_tf.data.records import Remark
from mirrorgan_tf.errors import UserError
from tests.data import trees

CAPTIONS = {
    391895: ["A man on a bike.", "A person rides\n"],
    42: ["Ein Vogel, schön", "", "bird ", "b"],
    7: ["one"],
}
NAME = "COCO_val2014_{:012d}.jpg"


@pytest.fixture
def tree(tmp_path):
    """A folder with the split "val" of COCO; image 99 has no caption."""
    folder = tmp_path / "val2014"
    folder.mkdir()
    (tmp_path / "annotations").mkdir()
    images, notes = [], []
    for image_id in [*CAPTIONS, 99]:
        name = NAME.format(image_id)
        PIL.Image.new("RGB", (8, 6)).save(folder / name)
        images.append({"id": image_id, "file_name": name, "height": 6, "width": 8})
        for caption in CAPTIONS.get(image_id, []):
            note_id = 1000 - len(notes)
            notes.append({"id": note_id, "image_id": image_id, "caption": caption})
    write(tmp_path, {"info": {}, "images": images, "annotations": notes})
    return tmp_path


def read_val(tree):
    json_file = tree / "annotations" / "captions_val2014.json"
    return read_coco_jsons({"val": (json_file, [tree / "val2014"])})["val"]


def write(tree, content):
    path = tree / "annotations" / "captions_val2014.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def read(tree):
    path = tree / "annotations" / "captions_val2014.json"
    return json.loads(path.read_text())


def test_images_with_captions_are_read_in_the_order_of_their_ids(tree):
    index = read_val(tree)
    assert len(index) == 3
    np.testing.assert_array_equal(index.image_ids, [7, 42, 391895])
    np.testing.assert_array_equal(index.class_ids, [0, 1, 2])
    assert index.class_ids.dtype == np.int32
    assert index.paths[1] == str(tree / "val2014" / "COCO_val2014_000000000042.jpg")
    # The fixture's annotation ids fall, so that captions are in reverse order.
    assert index.captions == (
        ("one",),
        ("b", "bird", "Ein Vogel, schön"),
        ("A person rides", "A man on a bike."),
    )
    folder = tree / "val2014"
    assert index.remarks == (
        Remark("empty captions, left out", 1, f"of {folder / NAME.format(42)}"),
        Remark("images without a caption, left out", 1, f"{folder / NAME.format(99)}"),
    )


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("val2014/COCO_val2014_000000000042.jpg", r"0042\.jpg: no such .*1 missing"),
        ("annotations/captions_val2014.json", r"captions_val2014\.json: no such file"),
        ("val2014", "val2014: the image folder can't be read"),
    ],
)
def test_missing_files_are_named(tree, missing, message):
    (tree / missing).rename(tree / "elsewhere")
    with pytest.raises(UserError, match=message):
        read_val(tree)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"images": [',
        "[]",
        '{"images": []}',
        {"images": [{"id": 1}], "annotations": []},
        {"images": [], "annotations": [{"id": 1, "image_id": 1, "caption": "a"}]},
        {"images": [], "annotations": []},
        {"images": 3, "annotations": []},
        {"images": [{"id": "x", "file_name": "a"}], "annotations": []},
        '{"images": [{"id": 1e999, "file_name": "a"}], "annotations": []}',
        {"images": [{"id": 2**63, "file_name": "a"}], "annotations": []},
        {"images": [{"id": 1, "file_name": None}], "annotations": []},
        "[" * 100_000,
        "<!DOCTYPE html><html></html>",
        "version https://git-lfs.github.com/spec/v1",
    ],
)
def test_broken_captions_are_refused(tree, content):
    write(tree, content)
    with pytest.raises(UserError, match=r"captions_val2014\.json"):
        read_val(tree)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.jpg", "a.jpg"], "lists the image a.jpg 2 times"),
        (["/etc/passwd"], "'/etc/passwd' leads out"),
        (["a/../../b.jpg"], "leads out"),
        (["..\\b.jpg"], "leads out"),
        (["C:\\b.jpg"], "leads out"),
        ([""], "leads out"),
        (["a\ud800.jpg"], "not UTF-8"),
    ],
)
def test_unsafe_or_repeated_file_names_are_refused(tree, names, words):
    images = [{"id": row, "file_name": name} for row, name in enumerate(names)]
    notes = [{"id": row, "image_id": row, "caption": "a"} for row in range(len(names))]
    write(tree, {"images": images, "annotations": notes})
    with pytest.raises(UserError, match="captions_val2014.json: .*") as error:
        read_val(tree)
    assert words in str(error.value)


def test_an_image_listed_twice_is_named(tree):
    content = read(tree)
    content["images"].append({"id": 42, "file_name": "other.jpg"})
    write(tree, content)
    with pytest.raises(UserError, match="image 42 is listed twice, COCO_val.* other"):
        read_val(tree)


@pytest.mark.parametrize("year", [2014, 2017])
def test_the_layouts_of_both_years_are_read(tmp_path, year):
    data_dir = trees.make_coco(tmp_path / "coco", year=year, train_images=5)
    index = read_coco(data_dir)["train"]
    assert len(index) == 5
    assert index.notes[0] == f"COCO {year}"
    for path in index.paths:
        assert path.startswith(str(data_dir / f"train{year}"))
        assert PIL.Image.open(path).size in ((40, 30), (30, 40))
    for captions in index.captions:
        assert 5 <= len(captions) <= 7
        assert all(caption == " ".join(caption.split()) for caption in captions)


def test_2014_is_read_where_both_years_are_complete(tmp_path):
    for year in (2017, 2014):
        trees.make_coco(tmp_path, year=year, train_images=2, val_images=1)
    assert read_coco(tmp_path)["val"].notes == ("COCO 2014", "not used: COCO 2017")
    (tmp_path / "annotations" / "captions_val2014.json").unlink()
    for index in read_coco(tmp_path).values():
        assert index.notes[0] == "COCO 2017"


def test_images_are_read_from_a_subfolder_of_images(tmp_path):
    trees.make_coco(tmp_path, train_images=2, val_images=1)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2014").rename(tmp_path / "images" / "val2014")
    assert "/images/val2014/" in read_coco(tmp_path)["val"].paths[0]


def test_a_wrong_folder_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="--data_dir must contain COCO's `annotations`"):
        read_coco(tmp_path)


def test_file_names_may_be_relative_to_the_second_folder(tmp_path):
    trees.make_own_coco(tmp_path, images=4)
    folders = [tmp_path / "none", tmp_path / "pictures"]
    files = {"train": (tmp_path / "captions.json", folders)}
    index = read_coco_jsons(files)["train"]
    assert [path[len(str(tmp_path)) :] for path in index.paths] == [
        "/pictures/night/0.png",
        "/pictures/day/1.png",
        "/pictures/night/2.png",
        "/pictures/day/3.png",
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_json_in_utf_16_is_read(tree, encoding):
    before = read_val(tree)
    path = tree / "annotations" / "captions_val2014.json"
    content = json.dumps(read(tree), ensure_ascii=False)
    path.write_bytes(content.encode(encoding))
    assert read_val(tree).captions == before.captions


def test_json_of_another_encoding_is_refused_by_line(tree):
    path = tree / "annotations" / "captions_val2014.json"
    content = json.dumps(read(tree), ensure_ascii=False, indent=0)
    line = next(n for n, text in enumerate(content.splitlines(), 1) if "schön" in text)
    path.write_bytes(content.encode("cp1252"))
    with pytest.raises(UserError, match=f"2014.json: line {line}: bytes that are not"):
        read_val(tree)


def test_captions_with_lost_characters_are_counted(tree):
    content = read(tree)
    for row, text in enumerate(["caf\ufffd", "half \ud83d", "a\0b"]):
        content["annotations"][row + 1]["caption"] = text
    write(tree, content)
    remark = read_val(tree).remarks[0]
    assert remark.kind.startswith("captions with characters that can't be read")
    assert remark.count == 3
    note_id = content["annotations"][1]["id"]
    assert remark.first.endswith(f"captions_val2014.json: annotation {note_id}")


def test_images_that_the_json_does_not_list_are_counted(tree):
    PIL.Image.new("RGB", (8, 6)).save(tree / "val2014" / "other.TIFF")
    (tree / "val2014" / "list.txt").write_text("no image")
    assert read_val(tree).remarks[0] == Remark(
        "images that captions_val2014.json does not list, left out",
        1,
        str(tree / "val2014" / "other.TIFF"),
    )


def test_splits_of_single_images_are_counted_because_they_are_not_read(tree):
    content = read(tree)
    content["images"][0]["split"] = "restval"
    write(tree, content)
    assert read_val(tree).remarks[0] == Remark(
        "images with a `split` in captions_val2014.json, which is not read (each split "
        "needs its own JSON)",
        1,
        f"{content['images'][0]['file_name']}: restval",
    )


def test_splits_that_share_a_folder_of_images_have_no_unlisted_images(tmp_path):
    trees.make_coco(tmp_path, train_images=2, val_images=2, quirks=False)
    for path in (tmp_path / "val2014").iterdir():
        path.rename(tmp_path / "train2014" / path.name)
    (tmp_path / "val2014").rmdir()
    (tmp_path / "val2014").symlink_to("train2014")
    assert not any(index.remarks for index in read_coco(tmp_path).values())
