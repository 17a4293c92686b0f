import os
import shutil

import numpy as np
import pytest

from mirrorgan_tf.data import leaks
from mirrorgan_tf.data.leaks import file_sizes, shared_images
from mirrorgan_tf.data.records import CaptionedImages, Remark


def index(paths, offsets=None):
    count = len(paths)
    return CaptionedImages(
        tuple(map(str, paths)),
        (("a bird",),) * count,
        range(count),
        range(count),
        offsets=offsets,
    )


@pytest.fixture
def files(tmp_path):
    """20 files of three sizes that differ in their first, middle or last byte only."""
    paths = []
    for row in range(20):
        content = bytearray(b"x" * (9000 + row % 3))
        content[(0, 4500, -1)[row % 3]] = row
        paths.append(tmp_path / f"{row}.jpg")
        paths[-1].write_bytes(content)
    return paths


def test_different_files_are_not_reported(files):
    assert shared_images(index(files[:12]), index(files[12:])) == ()


def test_copies_and_links_of_training_images_are_reported(files, tmp_path):
    copy, link, hard_link = (tmp_path / f"{name}.png" for name in "abc")
    shutil.copy(files[3], copy)
    link.symlink_to(files[4])
    os.link(files[5], hard_link)
    val = [*files[12:], copy, link, hard_link, files[3]]
    assert shared_images(index(files[:12]), index(val)) == (
        Remark(
            "validation images that are training images too",
            4,
            f"{copy} = {files[3]}",
        ),
    )


def test_missing_and_empty_files_are_not_reported(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    paths = [tmp_path / "a", tmp_path / "none"]
    assert shared_images(index(paths), index(paths)) == ()
    assert file_sizes([str(path) for path in paths]) == [0, 0]


def test_a_sample_of_many_validation_images_is_compared(files, monkeypatch):
    monkeypatch.setattr(leaks, "_MOST_COMPARED", 4)
    (remark,) = shared_images(index(files), index(files))
    assert remark.count == 4


def test_shards_are_not_compared(files):
    packed = index(files, offsets=np.zeros(len(files)))
    assert shared_images(packed, packed) == ()
