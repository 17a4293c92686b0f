import numpy as np
import pytest

from mirrorgan_tf.evaluation.features import fingerprint, look

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 2, 2, 3), np.uint8)


class Mean:
    """Sees an image's mean; counts images."""

    def __init__(self, version=1):
        self.facts = {"version": version}
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return {"mean": images.mean(axis=(1, 2, 3)), "first": images[:, 0, 0]}


def batches(size, start):
    for first in range(start, len(IMAGES), size):
        yield IMAGES[first : first + size]


def see(folder, **judges):
    return look(folder, judges, batches, len(IMAGES), "x")


def test_every_image_is_seen_once(tmp_path):
    judge = Mean()
    seen = see(tmp_path, mean=judge)["mean"]
    np.testing.assert_array_equal(seen["mean"], IMAGES.mean(axis=(1, 2, 3)))
    np.testing.assert_array_equal(seen["first"], IMAGES[:, 0, 0])
    again = see(tmp_path, mean=judge)["mean"]
    assert judge.seen == 600
    np.testing.assert_array_equal(again["mean"], seen["mean"])


def test_an_interruption_costs_a_block(tmp_path):
    class Interrupted(Mean):
        def __call__(self, images):
            if self.seen >= 300:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        see(tmp_path, mean=Interrupted())
    judge = Mean()
    seen = see(tmp_path, mean=judge)["mean"]
    assert judge.seen == 600 - 256
    np.testing.assert_array_equal(seen["first"], IMAGES[:, 0, 0])


def test_a_damaged_block_is_seen_again(tmp_path):
    first, other = Mean(), Mean()
    see(tmp_path, mean=first, other=other)
    (damaged,) = tmp_path.glob("mean-*/000256.npz")
    damaged.write_bytes(damaged.read_bytes()[:100])
    seen = see(tmp_path, mean=first, other=other)
    assert first.seen == 600 + 256 and other.seen == 600
    np.testing.assert_array_equal(seen["mean"]["first"], IMAGES[:, 0, 0])


def test_another_judge_looks_for_itself(tmp_path):
    see(tmp_path, mean=Mean())
    changed, same = Mean(version=2), Mean()
    see(tmp_path, mean=changed)
    see(tmp_path, mean=same)
    assert changed.seen == 600 and same.seen == 0


def test_no_judge_needs_no_image(tmp_path):
    assert look(tmp_path, {}, lambda *_: 1 / 0, 600, "x") == {}


def test_a_fingerprint_tells_weights_apart():
    weights = [np.ones((2, 3), np.float32), np.zeros(4, np.float32)]
    other = [np.ones((2, 3), np.float32), np.full(4, 1e-7, np.float32)]
    assert fingerprint(weights) == fingerprint([w.copy() for w in weights])
    assert fingerprint(weights) != fingerprint(other)
