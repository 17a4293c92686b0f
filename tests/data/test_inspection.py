import zlib

import pytest

from mirrorgan_tf.data.inspection import ImageFacts, inspect_images
from mirrorgan_tf.data.records import CaptionedImages
from tests.data.trees import write_image


def inspect(paths, progress=lambda done: None):
    """The facts of files, as an index with one caption each."""
    index = CaptionedImages(
        paths=tuple(map(str, paths)),
        captions=(("a bird",),) * len(paths),
        class_ids=range(len(paths)),
        image_ids=range(len(paths)),
    )
    return inspect_images(index, range(len(paths)), progress)


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.fixture
def files(tmp_path):
    """Files by format and mode."""
    kinds = {
        "JPEG RGB": ("a.jpg", {}),
        "JPEG L": ("grey.jpg", {"mode": "L"}),
        "JPEG CMYK": ("cmyk.jpg", {"mode": "CMYK"}),
        "PNG P": ("palette.jpg", {"mode": "P", "format": "PNG"}),
        "PNG RGBA": ("a.png", {"mode": "RGBA"}),
        "BMP RGB": ("a.bmp", {}),
        "GIF P": ("a.gif", {}),
    }
    for name, how in kinds.values():
        write_image(tmp_path / name, 20, 10, **dict(how))
    return {kind: tmp_path / name for kind, (name, _) in kinds.items()}


def test_all_formats_are_decoded_and_described(files):
    paths = list(files.values())
    progress = []
    facts = inspect(paths, progress.append)
    assert progress == list(range(1, len(files) + 1))
    for path, kind, fact in zip(paths, files, facts, strict=True):
        content = path.read_bytes()
        assert fact == ImageFacts(
            width=20,
            height=10,
            kind=kind,
            size=len(content),
            checksum=zlib.crc32(content),
        )


def test_undecodable_files_are_reported_with_a_reason(tmp_path, files):
    whole = files["JPEG RGB"].read_bytes()
    png = files["PNG RGBA"].read_bytes()
    bad = {
        "is empty": write(tmp_path / "empty.jpg", b""),
        "is not an image": write(tmp_path / "text.jpg", b"not an image"),
        "is damaged, or JPEG RGB": write(tmp_path / "half.jpg", whole[:-40]),
        "is damaged, or PNG RGBA": write(tmp_path / "half.png", png[:-30]),
        "can't be read (No such file": tmp_path / "none.jpg",
        "can't be read (Is a directory": tmp_path,
    }
    facts = inspect([*bad.values(), files["JPEG RGB"]])
    for reason, fact in zip(bad, facts[:-1], strict=True):
        assert fact.problem.startswith(reason)
    assert not facts[-1].problem
