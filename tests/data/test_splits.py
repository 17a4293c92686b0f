import numpy as np

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.splits import take


def test_rows_keep_their_columns():
    index = CaptionedImages(
        paths=tuple(f"{row}.jpg" for row in range(4)),
        captions=tuple((f"{row}/0", f"{row}/1") for row in range(4)),
        class_ids=np.arange(4) + 10,
        image_ids=np.arange(4) + 100,
        boxes=np.arange(16).reshape(4, 4),
        notes=("as many", "notes", "as", "images"),
    )
    taken = take(index, [3, 0, 3])
    assert taken.notes == index.notes
    assert taken.paths == ("3.jpg", "0.jpg", "3.jpg")
    assert taken.captions[1] == index.captions[0]
    np.testing.assert_array_equal(taken.class_ids, [13, 10, 13])
    np.testing.assert_array_equal(taken.image_ids, [103, 100, 103])
    np.testing.assert_array_equal(taken.boxes[2], [12, 13, 14, 15])
