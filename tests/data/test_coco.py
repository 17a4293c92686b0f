import json

import numpy as np
import PIL.Image
import pytest

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.coco import read_coco

CAPTIONS = {
    391895: ["A man on a bike.", "A person rides\n"],
    42: ["Ein Vogel, schön", "", "bird ", "b"],
    7: ["one"],
}


@pytest.fixture
def tree(tmp_path):
    """A COCO folder; image 99 has no caption."""
    folder = tmp_path / "val2014"
    folder.mkdir()
    (tmp_path / "annotations").mkdir()
    images, notes = [], []
    for image_id in [*CAPTIONS, 99]:
        name = f"COCO_val2014_{image_id:012d}.jpg"
        PIL.Image.new("RGB", (8, 6)).save(folder / name)
        images.append({"id": image_id, "file_name": name, "height": 6, "width": 8})
        for caption in CAPTIONS.get(image_id, []):
            note_id = 1000 - len(notes)
            notes.append({"id": note_id, "image_id": image_id, "caption": caption})
    write(tmp_path, {"info": {}, "images": images, "annotations": notes})
    return tmp_path


def write(tree, content):
    path = tree / "annotations" / "captions_val2014.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def read(tree):
    path = tree / "annotations" / "captions_val2014.json"
    return json.loads(path.read_text())


def test_every_captioned_image_is_read_in_order(tree):
    index = read_coco(tree, "val")
    assert len(index) == 3
    np.testing.assert_array_equal(index.image_ids, [7, 42, 391895])
    np.testing.assert_array_equal(index.class_ids, [0, 1, 2])
    assert index.class_ids.dtype == np.int32
    assert index.paths[1] == str(tree / "val2014" / "COCO_val2014_000000000042.jpg")
    # Annotation ids fall in this tree, so captions come the other way round.
    assert index.captions == tuple(
        tuple(CAPTIONS[image_id][::-1]) for image_id in (7, 42, 391895)
    )


def test_the_order_in_the_file_does_not_matter(tree):
    before = read_coco(tree, "val")
    content = read(tree)
    write(
        tree, {"images": content["images"][::-1], "annotations": content["annotations"]}
    )
    assert read_coco(tree, "val").paths == before.paths


def test_a_missing_image_is_named(tree):
    (tree / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    with pytest.raises(UserError, match=r"COCO_val2014_000000000042\.jpg.*1 missing"):
        read_coco(tree, "val")


def test_a_missing_file_of_captions_is_named(tree):
    with pytest.raises(UserError, match=r"captions_train2014\.json: no such file"):
        read_coco(tree, "train")


def test_a_missing_image_folder_is_named(tree):
    (tree / "val2014").rename(tree / "other")
    with pytest.raises(UserError, match="val2014: the image folder"):
        read_coco(tree, "val")


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
    ],
)
def test_broken_captions_are_refused(tree, content):
    write(tree, content)
    with pytest.raises(UserError, match=r"captions_val2014\.json"):
        read_coco(tree, "val")


def test_bytes_that_are_no_text_are_refused(tree):
    (tree / "annotations" / "captions_val2014.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"captions_val2014\.json"):
        read_coco(tree, "val")


def test_other_splits_are_refused(tree):
    with pytest.raises(ValueError, match="split='test'"):
        read_coco(tree, "test")
