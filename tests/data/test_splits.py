import collections

import numpy as np
import pytest

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.splits import sample_captions, take

COUNTS = (5, 1, 7, 5, 3)


@pytest.fixture
def index():
    return CaptionedImages(
        paths=[f"{row}.jpg" for row in range(len(COUNTS))],
        captions=[
            tuple(f"{row}/{place}" for place in range(count))
            for row, count in enumerate(COUNTS)
        ],
        class_ids=np.arange(len(COUNTS)) + 10,
        image_ids=np.arange(len(COUNTS)) + 100,
        boxes=np.arange(len(COUNTS) * 4).reshape(-1, 4),
    )


def test_rows_keep_their_columns(index):
    taken = take(index, [3, 0, 3])
    assert taken.paths == ("3.jpg", "0.jpg", "3.jpg")
    assert taken.captions[1] == index.captions[0]
    np.testing.assert_array_equal(taken.class_ids, [13, 10, 13])
    np.testing.assert_array_equal(taken.image_ids, [103, 100, 103])
    np.testing.assert_array_equal(taken.boxes[2], [12, 13, 14, 15])


@pytest.mark.parametrize("count", [1, 5, 9, 21, 100])
def test_every_image_has_its_turn_before_another_comes_again(index, count):
    sample = sample_captions(index, count, seed=3)
    assert len(sample) == min(count, sum(COUNTS))
    drawn = [captions for (captions,) in sample.captions]
    assert len(set(drawn)) == len(drawn)
    for path, caption, image_id in zip(
        sample.paths, drawn, sample.image_ids, strict=True
    ):
        assert path == f"{caption[0]}.jpg"
        assert image_id == 100 + int(caption[0])
    times = collections.Counter(sample.paths)
    most = max(times.values())
    for row, available in enumerate(COUNTS):
        assert times[f"{row}.jpg"] >= min(available, most - 1)


def test_the_seed_decides(index):
    first, again, other = (sample_captions(index, 5, seed) for seed in (1, 1, 2))
    assert first.captions == again.captions
    assert first.captions != other.captions


def test_captions_and_orders_are_equally_likely(index):
    firsts, of_zero = collections.Counter(), collections.Counter()
    for seed in range(1000):
        sample = sample_captions(index, 5, seed)
        firsts[sample.paths[0]] += 1
        of_zero[sample.captions[sample.paths.index("0.jpg")]] += 1
    # 5 outcomes each of probability 1/5: five standard deviations are 63.
    for counts in (firsts, of_zero):
        assert len(counts) == 5
        assert max(abs(count - 200) for count in counts.values()) < 63
