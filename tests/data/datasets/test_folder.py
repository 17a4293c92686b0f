import os

import PIL.Image
import pytest

from mirrorgan_tf.data.datasets.folder import read_folder
from mirrorgan_tf.data.inspection import inspect_images
from mirrorgan_tf.data.records import Remark
from mirrorgan_tf.errors import UserError
from tests.data import trees


def read(folder, **options):
    return read_folder(folder, **({"val_share": 0.25, "seed": 1} | options))


def names(index):
    return [os.path.basename(path) for path in index.paths]


def test_images_with_text_files_are_read_from_subfolders(tmp_path):
    trees.make_folder(tmp_path, images=10)
    splits = read(tmp_path)
    assert sorted(names(splits["train"]) + names(splits["val"])) == sorted(
        f"bird {place}.{ending}"
        for place, ending in zip(
            range(10), 2 * ("jpg", "png", "JPEG", "bmp", "gif"), strict=True
        )
    )
    for index in splits.values():
        for path, captions in zip(index.paths, index.captions, strict=True):
            name = os.path.splitext(os.path.basename(path))[0]
            assert captions == tuple(trees.bird_captions(name, 2))
    ids = [*splits["train"].image_ids, *splits["val"].image_ids]
    assert sorted(ids) == list(range(10))


def test_the_split_depends_on_seed_and_names_alone(tmp_path):
    here = trees.make_folder(tmp_path / "here", images=20)
    there = trees.make_folder(tmp_path / "there" / "x", images=40)
    before, after = read(here)["val"], read(there)["val"]
    # Additional images do not change the split of the others.
    assert names(before) == [
        name for name in names(after) if int(name[5:].split(".")[0]) < 20
    ]
    assert names(read(here, seed=2)["val"]) != names(before)


def test_neither_split_is_empty(tmp_path):
    trees.make_folder(tmp_path, images=2)
    for share in (0.0, 1.0):
        assert [len(index) for index in read(tmp_path, val_share=share).values()] == [
            1,
            1,
        ]


def test_links_are_followed_once(tmp_path):
    trees.make_folder(tmp_path / "set", images=4)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "set").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "linked")
    assert sum(map(len, read(tmp_path / "linked").values())) == 4


def test_hidden_files_are_not_read(tmp_path):
    trees.make_folder(tmp_path, images=4)
    trees.write_image(tmp_path / "._bird.jpg")
    trees.write_image(tmp_path / ".thumbnails" / "bird.jpg")
    assert sum(map(len, read(tmp_path).values())) == 4


def test_unusual_text_files_are_read(tmp_path):
    texts = {
        "a": b"\xef\xbb\xbfa red bird\r\n\r\n a  blue\tone \r\n",
        "b": b"caf\xe9 bird\n",
        "c": "un oiseau\u2028foncé".encode(),
        "d": b"\n...\n",
        "e": b"",
        "f": "un oiseau foncé\r\n".encode("utf-16"),
    }
    for name, text in texts.items():
        trees.write_image(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_bytes(text)
    splits = read(tmp_path)
    captions_by_name = {
        os.path.basename(path): captions
        for index in splits.values()
        for path, captions in zip(index.paths, index.captions, strict=True)
    }
    assert captions_by_name == {
        "a.png": ("a red bird", "a blue one"),
        "b.png": ("caf bird",),
        "c.png": ("un oiseau", "foncé"),
        "f.png": ("un oiseau foncé",),
    }
    assert splits["train"].remarks == splits["val"].remarks
    assert [
        (remark.kind.split(",")[0], remark.count, os.path.basename(remark.first))
        for remark in splits["train"].remarks
    ] == [
        (
            "captions with characters that can't be read (not UTF-8?)",
            1,
            "b.txt: line 1",
        ),
        ("empty captions", 1, "d.png"),
        ("images without a caption", 2, "d.png"),
    ]


def test_files_of_every_format_of_pillow_are_images(tmp_path):
    kinds = {".tif", ".TIFF", ".webp", ".jfif", ".tga", ".ppm", ".JP2", ".ico", ".avif"}
    written = {
        suffix
        for suffix in kinds
        if PIL.Image.registered_extensions()[suffix.lower()] in PIL.Image.SAVE
    }
    for suffix in written:
        trees.write_image(tmp_path / f"a{suffix[1:]}{suffix}")
        (tmp_path / f"a{suffix[1:]}.TXT").write_text("a bird")
    splits = read(tmp_path)
    assert sum(map(len, splits.values())) == len(written) > 6
    assert not splits["train"].remarks
    inspected = inspect_images(splits["train"], range(len(splits["train"])))
    assert not any(fact.problem for fact in inspected)


def test_files_that_are_left_out_are_counted_and_the_first_is_named(tmp_path):
    trees.make_folder(tmp_path / "set", images=4)
    folder = tmp_path / "set"
    for name in ("a.heic", "b.svg", "mine/c.json", os.fsdecode(b"\xff")):
        (folder / name).write_bytes(b"?")
    (folder / "a.txt").write_text("a bird")
    trees.write_image(folder / "mine" / "alone.webp")
    trees.write_image(folder / "mine" / "shelf0" / "bird 0.png")
    (folder / "second").symlink_to(folder / "mine")
    remarks = read(folder)["val"].remarks
    assert remarks == (
        Remark("text files without an image, left out", 2, "README.txt"),
        Remark("files that are neither images nor text, left out", 4, "a.heic"),
        Remark(
            "images that share another image's text file",
            1,
            "mine/shelf0/bird 0.png, as mine/shelf0/bird 0.jpg",
        ),
        Remark(
            "folders with a second name, read once",
            1,
            f"{folder / 'second'} = {folder / 'mine'}",
        ),
        Remark(
            "images without a caption, left out", 1, str(folder / "mine" / "alone.webp")
        ),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nred bird".encode("utf-16-le"), "line 1: a NUL character"),
        (b"<!DOCTYPE html>\n<title>404</title>\n", "is a web page"),
    ],
)
def test_text_files_without_captions_are_refused(tmp_path, content, message):
    trees.write_image(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.txt: {message}"):
        read(tmp_path)


def test_folders_named_as_splits_are_the_splits(tmp_path):
    trees.make_folder(tmp_path / "photos", images=4, val_images=3)
    (tmp_path / "photos" / "train").rename(tmp_path / "photos" / "Training")
    (tmp_path / "photos" / "val").rename(tmp_path / "photos" / "VALIDATION")
    trees.write_image(tmp_path / "sketch.png")
    splits = read(tmp_path)
    assert [len(index) for index in splits.values()] == [4, 3]
    assert all("/VALIDATION/" in path for path in splits["val"].paths)
    assert splits["train"].notes == (
        "training: photos/Training; validation: photos/VALIDATION",
    )
    assert splits["train"].remarks == (
        Remark("text files without an image, left out", 1, "photos/README.txt"),
        Remark("images outside the folders of the splits, left out", 1, "sketch.png"),
    )


def test_a_split_folder_that_is_not_used_is_named(tmp_path):
    trees.make_folder(tmp_path, images=4, val_images=3)
    (tmp_path / "train").rename(tmp_path / "birds")
    splits = read(tmp_path)
    assert sum(map(len, splits.values())) == 7
    assert splits["train"].notes[0] == (
        "named as a split, but not used without its other half: val"
    )


def test_folders_without_two_captioned_images_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="no images"):
        read(tmp_path)
    trees.write_image(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.txt: no such file.*\(1 missing"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("a bird")
    with pytest.raises(UserError, match=r"a\.png: the only image"):
        read(tmp_path)
    (tmp_path / os.fsdecode(b"b\xff.png")).write_bytes(b"")
    with pytest.raises(UserError, match="is not UTF-8; rename it"):
        read(tmp_path)


def test_pipes_and_devices_among_the_files_are_left_out(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text("a bird\n")
        (tmp_path / f"{name}.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "pipe.txt").write_text("a bird\n")
    os.mkfifo(tmp_path / "c2.txt")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    splits = read_folder(tmp_path, val_share=0.5, seed=1)
    read_names = [*names(splits["train"]), *names(splits["val"])]
    assert sorted(read_names) == ["a.png", "b.png", "c.png"]
    remarks = " ".join(map(str, splits["train"].remarks))
    assert "neither images nor text, left out: 3, first c2.txt" in remarks
