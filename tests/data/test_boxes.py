import os

import PIL.Image

from mirrorgan_tf.data.boxes import boxes_outside
from mirrorgan_tf.data.records import CaptionedImages
from tests.data.trees import write_image

BOXES = [
    # Left, top, width and height in an image 40 px wide and 30 px high.
    ((0, 0, 40, 30), None),
    ((-1, -1, 42, 32), None),
    ((10, 10, 31.5, 5), "cut"),
    ((-3, 10, 10, 5), "cut"),
    ((0, 20, 10, 12), "cut"),
    ((40, 0, 5, 5), "outside"),
    ((0, 99, 5, 5), "outside"),
    ((-9, 0, 9, 5), "outside"),
    ((0.1, 0.1, 0.8, 0.9), "small"),
]


def index(paths, boxes):
    count = len(paths)
    return CaptionedImages(
        tuple(map(str, paths)), (("a",),) * count, range(count), range(count), boxes
    )


def test_boxes_outside_their_image_are_counted_by_kind(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, 40, 30)
    remarks = boxes_outside(index([path] * len(BOXES), [box for box, _ in BOXES]))
    expected = [
        ("boxes outside of their image", 3, (40, 0, 5, 5)),
        ("boxes that reach out of their image, cut off", 3, (10, 10, 31.5, 5)),
        ("boxes of about a pixel, whole image used", 1, (0.1, 0.1, 0.8, 0.9)),
    ]
    assert [(remark.kind, remark.count) for remark in remarks] == [
        (kind, count) for kind, count, _ in expected
    ]
    for remark, (_, _, box) in zip(remarks[:2], expected, strict=False):
        assert remark.first == f"{path}, 40×30 px: {[float(side) for side in box]}"


def test_boxes_are_compared_with_the_size_after_exif_rotation(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    write_image(path, 40, 30, exif=exif)
    assert boxes_outside(index([path], [(0, 0, 30, 40)])) == ()
    assert boxes_outside(index([path], [(0, 0, 40, 30)]))


def test_unreadable_images_are_skipped(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    os.mkfifo(tmp_path / "pipe.jpg")
    paths = [tmp_path / f"{name}.jpg" for name in ("a", "pipe", "missing")]
    assert boxes_outside(index(paths, [(0, 0, 9, 9)] * 3)) == ()
