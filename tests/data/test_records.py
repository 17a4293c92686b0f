import pytest

from mirrorgan_tf.data.records import CaptionedImages


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="class_ids: 1 entries; expected 2"):
        CaptionedImages(("a", "b"), (("x",), ("y",)), [0], [5, 6])


def test_an_image_needs_a_caption():
    with pytest.raises(ValueError, match="image 1 "):
        CaptionedImages(("a", "b"), (("x",), ()), [0, 1], [5, 6])
