import numpy as np
import pytest

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.sampling import choose_real, choose_some, sample_captions


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


def test_all_captions_are_taken_where_there_are_not_more(index):
    sample = sample_captions(index, 100, seed=0)
    assert sample.captions == ("a0", "a1", "b0", "c0", "c1", "c2", "d0", "d1")
    assert sample.rows.tolist() == [0, 0, 1, 2, 2, 2, 3, 3]
    assert sample.places.tolist() == [0, 1, 0, 0, 1, 2, 0, 1]


def test_a_sample_is_drawn_once_and_for_all(index):
    sample = sample_captions(index, 4, seed=3)
    assert len(set(sample.captions)) == 4
    for text, row, place in zip(
        sample.captions, sample.rows, sample.places, strict=True
    ):
        assert index.captions[row][place] == text
    assert sample_captions(index, 4, seed=3).captions == sample.captions
    others = {sample_captions(index, 4, seed=seed).captions for seed in range(9)}
    assert len(others) > 1


def test_only_eligible_captions_are_drawn(index):
    sample = sample_captions(index, 3, seed=0, eligible=[0, 2, 5, 7])
    assert set(sample.captions) < {"a0", "b0", "c2", "d1"}


def test_real_images_are_the_samples_own_first(index):
    sample = sample_captions(index, 2, seed=0, eligible=[3, 4])
    for seed in range(5):
        rows = choose_real(index, sample, seed=seed)
        assert len(rows) == 2 and 2 in rows
    everything = sample_captions(index, 100, seed=0)
    assert choose_real(index, everything, seed=0).tolist() == [0, 1, 2, 3]


def test_some_images_are_drawn_in_their_order(index):
    assert choose_some(index, 0, seed=1) is None
    assert choose_some(index, 4, seed=1) is index
    some = choose_some(index, 2, seed=1)
    assert len(some) == 2 and some.paths[0] < some.paths[1]
    assert some.captions[0][0] == f"{some.paths[0]}0"
    assert choose_some(index, 2, seed=1).paths == some.paths
