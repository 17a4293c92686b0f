import numpy as np
import pytest

from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.evaluation.training_fid import fid_of

CAPTIONS = [f"caption {i}" for i in range(40)]


def generate(captions, seeds):
    """Pixels that depend on the seed alone."""
    return np.stack(
        [
            np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
            for seed in seeds
        ]
    )


def extract(images):
    return {"features": images.reshape(len(images), -1).astype(np.float32)}


def test_fid_of_equals_the_fid_of_all_generated_images():
    real = np.random.default_rng(1).normal(100, 50, (60, 12))
    images = generate(CAPTIONS, range(5 * 2**24, 5 * 2**24 + 40))
    expected = fid(real, extract(images)["features"])
    assert fid_of(generate, CAPTIONS, real, extract, seed=5) == pytest.approx(expected)
    assert fid_of(generate, CAPTIONS, real, extract, seed=6) != pytest.approx(expected)


def test_fid_of_refuses_no_captions():
    with pytest.raises(ValueError, match="captions is empty"):
        fid_of(generate, [], np.ones((4, 12)), extract)
