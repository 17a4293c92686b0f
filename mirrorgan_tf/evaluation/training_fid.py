"""FID during a training: few images, the same captions and noise every time."""

from collections.abc import Callable, Sequence

import numpy as np

from mirrorgan_tf.evaluation.features import FeatureExtractor
from mirrorgan_tf.evaluation.fid import fid

__all__ = ["fid_of"]

_BATCH = 32


def fid_of(
    generate: Callable[[Sequence[str], Sequence[int]], np.ndarray],
    captions: Sequence[str],
    real_features: np.ndarray,
    extractor: FeatureExtractor,
    *,
    seed: int = 1,
) -> float:
    """FID of images generated from captions.

    The noise depends on `seed` alone, so values of one training differ only by its
    weights. They are too high for the small number of images: compare them with each
    other, not with those of `evaluate`.

    Args:
        generate: captions and seeds (B,) to images (B, S, S, 3) uint8.
        captions: M texts, one image each; M at least 2.
        real_features: (N, D), what `extract` gives for real images.
        extractor: gives `features` (B, D) of images.
        seed: fixes the noise.

    Raises:
        ValueError: fewer than 2 captions or rows of `real_features`.
    """
    images = (
        generate(captions[start : start + _BATCH], _seeds(seed, captions, start))
        for start in range(0, len(captions), _BATCH)
    )
    features = [extractor(batch)["features"] for batch in images]
    if not features:
        raise ValueError("captions is empty; expected at least 2")
    return fid(real_features, np.concatenate(features))


def _seeds(seed, captions, start):
    # Every image gets noise of its own.
    first = seed * 2**24 + start
    return range(first, first + min(_BATCH, len(captions) - start))
