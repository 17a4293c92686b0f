import numpy as np
import pytest

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.sampling import (
    choose_images,
    choose_real,
    sample_captions,
)


@pytest.fixture
def index():
    counts = [2, 1, 3, 2]
    return CaptionedImages(
        paths=tuple("abcd"),
        captions=tuple(
            tuple(f"{name}{place}" for place in range(count))
            for name, count in zip("abcd", counts, strict=True)
        ),
        class_ids=np.array([5, 5, 6, 7]),
        image_ids=np.array([10, 11, 12, 13]),
    )


def test_small_splits_are_taken_completely(index):
    sample = sample_captions(index, 100, seed=0)
    assert choose_real(index, sample, seed=0).tolist() == [0, 1, 2, 3]
    assert sample.captions == ("a0", "a1", "b0", "c0", "c1", "c2", "d0", "d1")
    assert sample.rows.tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


def test_sample_captions_depends_on_the_seed_alone(index):
    sample = sample_captions(index, 4, seed=3)
    assert len(set(sample.captions)) == 4
    for text, row in zip(sample.captions, sample.rows, strict=True):
        assert text in index.captions[row]
    assert sample_captions(index, 4, seed=3).captions == sample.captions
    assert len({sample_captions(index, 4, seed=seed).captions for seed in range(9)}) > 1


def test_choose_real_includes_the_images_of_the_sample(index):
    for seed in range(5):
        sample = sample_captions(index, 2, seed=seed)
        rows = choose_real(index, sample, seed=seed)
        assert len(rows) == 2 and set(sample.rows) <= set(rows)


def test_choose_images_keeps_the_order_of_the_index(index):
    assert choose_images(index, 4, seed=1) is index
    two = choose_images(index, 2, seed=1)
    assert len(two) == 2 and two.paths[0] < two.paths[1]
    assert two.captions[0][0] == f"{two.paths[0]}0"
    assert choose_images(index, 2, seed=1).paths == two.paths
