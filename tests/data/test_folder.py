import os

import pytest

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.folder import read_folder
from tests.data import trees


def read(folder, **options):
    return read_folder(folder, **({"val_share": 0.25, "seed": 1} | options))


def names(index):
    return [os.path.basename(path) for path in index.paths]


def test_pairs_are_found_in_subfolders(tmp_path):
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
    # More images move none of those that were there.
    assert names(before) == [
        name for name in names(after) if int(name[5:].split(".")[0]) < 20
    ]
    assert names(read(here, seed=2)["val"]) != names(before)


def test_neither_part_is_empty(tmp_path):
    trees.make_folder(tmp_path, images=2)
    for share in (0.0, 1.0):
        assert [len(index) for index in read(tmp_path, val_share=share).values()] == [
            1,
            1,
        ]


def test_folders_train_and_val_are_the_splits(tmp_path):
    trees.make_folder(tmp_path, images=4, val_images=3)
    trees.write_image(tmp_path / "sketch.png")
    splits = read(tmp_path)
    assert [len(index) for index in splits.values()] == [4, 3]
    assert all("/val/" in path for path in splits["val"].paths)
    assert splits["train"].notes == ("images outside train and val, not read: 1",)


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


def test_text_that_is_odd_is_read(tmp_path):
    texts = {
        "a": b"\xef\xbb\xbfa red bird\r\n\r\n a  blue\tone \r\n",
        "b": b"caf\xe9 bird\n",
        "c": "un oiseau\u2028foncé".encode(),
        "d": b"\n...\n",
        "e": b"",
    }
    for name, text in texts.items():
        trees.write_image(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_bytes(text)
    splits = read(tmp_path)
    found = {
        os.path.basename(path): captions
        for index in splits.values()
        for path, captions in zip(index.paths, index.captions, strict=True)
    }
    assert found == {
        "a.png": ("a red bird", "a blue one"),
        "b.png": ("caf bird",),
        "c.png": ("un oiseau", "foncé"),
    }
    assert "empty captions left out: 1" in splits["train"].notes[0]
    assert "images without a caption left out: 2, first" in splits["val"].notes[1]


def test_mistakes_are_told(tmp_path):
    with pytest.raises(UserError, match="none: no such folder"):
        read(tmp_path / "none")
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
