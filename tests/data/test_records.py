import numpy as np
import pytest

from mirrorgan_tf.data.records import CaptionedImages


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="class_ids: 1 entries; expected 2"):
        CaptionedImages(("a", "b"), (("x",), ("y",)), [0], [5, 6])


def test_an_image_needs_a_caption():
    with pytest.raises(ValueError, match="image 1 "):
        CaptionedImages(("a", "b"), (("x",), ()), [0, 1], [5, 6])


def test_select_keeps_all_columns_of_the_rows():
    index = CaptionedImages(
        paths=tuple(f"{row}.jpg" for row in range(4)),
        captions=tuple((f"{row}/0", f"{row}/1") for row in range(4)),
        class_ids=np.arange(4) + 10,
        image_ids=np.arange(4) + 100,
        boxes=np.arange(16).reshape(4, 4),
        offsets=np.arange(4) + 1000,
        notes=("as many", "notes", "as", "images"),
    )
    selected = index.select([3, 0, 3])
    assert selected.notes == index.notes
    assert selected.paths == ("3.jpg", "0.jpg", "3.jpg")
    assert selected.captions[1] == index.captions[0]
    np.testing.assert_array_equal(selected.class_ids, [13, 10, 13])
    np.testing.assert_array_equal(selected.image_ids, [103, 100, 103])
    np.testing.assert_array_equal(selected.boxes[2], [12, 13, 14, 15])
    np.testing.assert_array_equal(selected.offsets, [1003, 1000, 1003])
