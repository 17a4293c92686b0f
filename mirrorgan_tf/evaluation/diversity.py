"""Diversity: mean distances between images, of pixels or of features."""

import numpy as np

__all__ = ["mean_cosine_distance", "mean_pixel_rmse"]


def mean_pixel_rmse(images: np.ndarray) -> float:
    """Mean over all pairs of the root mean squared difference of pixels.

    Args:
        images: (S, H, W, 3) uint8, S at least 2.

    Returns:
        From 0 (all equal) to 255.

    Raises:
        ValueError: fewer than 2 images.
    """
    pixels = _rows(images)
    pairs = zip(*np.triu_indices(len(pixels), 1), strict=True)
    squares = [np.square(pixels[i] - pixels[j]).mean() for i, j in pairs]
    return float(np.sqrt(squares).mean())


def mean_cosine_distance(codes: np.ndarray) -> float:
    """Mean over all pairs of 1 - cosine.

    Args:
        codes: (S, D), S at least 2.

    Returns:
        From 0 (all of one direction) to 2.

    Raises:
        ValueError: fewer than 2 codes.
    """
    codes = _rows(codes)
    codes = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
    return float(1 - (codes @ codes.T)[np.triu_indices(len(codes), 1)].mean())


def _rows(values):
    if len(values) < 2:
        raise ValueError(f"{len(values)} rows; expected at least 2")
    return np.asarray(values, np.float32).reshape(len(values), -1)
