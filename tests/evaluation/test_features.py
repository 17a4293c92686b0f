import numpy as np
import pytest

from mirrorgan_tf.evaluation.features import extract_features, fingerprint

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 2, 2, 3), np.uint8)


class MeanExtractor:
    """Computes the mean of each image, counts images, and can fail after a number."""

    def __init__(self, version=1, fails_after=1000):
        self.facts = {"version": version}
        self.calls = 0
        self._fails_after = fails_after

    def __call__(self, images):
        if self.calls >= self._fails_after:
            raise KeyboardInterrupt
        self.calls += len(images)
        return {"mean": images.mean(axis=(1, 2, 3)), "first": images[:, 0, 0]}


def batches(size, start):
    for first in range(start, len(IMAGES), size):
        yield IMAGES[first : first + size]


def extract(folder, **extractors):
    return extract_features(folder, extractors, batches, len(IMAGES), "x")


def test_extract_features_computes_each_image_once_and_reads_saved_features(tmp_path):
    extractor = MeanExtractor()
    # The second time, the features are read from the files.
    for _ in range(2):
        features = extract(tmp_path, mean=extractor)["mean"]
        np.testing.assert_array_equal(features["mean"], IMAGES.mean(axis=(1, 2, 3)))
        np.testing.assert_array_equal(features["first"], IMAGES[:, 0, 0])
    assert extractor.calls == 600


def test_extract_features_resumes_after_the_last_complete_block(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(tmp_path, mean=MeanExtractor(fails_after=300))
    extractor = MeanExtractor()
    features = extract(tmp_path, mean=extractor)["mean"]
    assert extractor.calls == 600 - 256
    np.testing.assert_array_equal(features["first"], IMAGES[:, 0, 0])


def test_extract_features_computes_only_a_damaged_block_again(tmp_path):
    first, other = MeanExtractor(), MeanExtractor()
    extract(tmp_path, mean=first, other=other)
    (damaged,) = tmp_path.glob("mean-*/000256.npz")
    damaged.write_bytes(damaged.read_bytes()[:100])
    features = extract(tmp_path, mean=first, other=other)
    assert first.calls == 600 + 256 and other.calls == 600
    np.testing.assert_array_equal(features["mean"]["first"], IMAGES[:, 0, 0])


def test_extract_features_keeps_extractors_with_other_facts_apart(tmp_path):
    extract(tmp_path, mean=MeanExtractor())
    changed, same = MeanExtractor(version=2), MeanExtractor()
    extract(tmp_path, mean=changed)
    extract(tmp_path, mean=same)
    assert changed.calls == 600 and same.calls == 0


def test_fingerprint_differs_for_weights_that_differ_in_one_number():
    weights = [np.ones((2, 3), np.float32), np.zeros(4, np.float32)]
    other = [np.ones((2, 3), np.float32), np.full(4, 1e-7, np.float32)]
    assert fingerprint(weights) == fingerprint([w.copy() for w in weights])
    assert fingerprint(weights) != fingerprint(other)
