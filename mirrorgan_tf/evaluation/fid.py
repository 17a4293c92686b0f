"""Fréchet Inception Distance of two sets of features."""

import numpy as np

__all__ = ["fid", "frechet_distance"]


def fid(real: np.ndarray, generated: np.ndarray) -> float:
    """Fréchet distance of the Gaussians that fit two sets of features.

    The FID of few images is too large; with fewer images than features the
    covariance does not even have full rank. Compare equal numbers of images only, or
    use `kid`, which has no such bias.

    Args:
        real: (N, D).
        generated: (M, D).

    Raises:
        ValueError: `real` or `generated` is no matrix or has fewer than 2 rows.

    Source: Heusel et al., 2017.
    """
    return frechet_distance(*_gaussian(real), *_gaussian(generated))


def frechet_distance(
    mean: np.ndarray,
    covariance: np.ndarray,
    other_mean: np.ndarray,
    other_covariance: np.ndarray,
) -> float:
    """|m - m'|² + tr(C + C' - 2 (C C')^½) of two Gaussians.

    The trace of the root equals that of (C^½ C' C^½)^½, which is symmetric, so that no
    complex numbers arise.

    Args:
        mean: (D,).
        covariance: (D, D), symmetric.
        other_mean: (D,).
        other_covariance: (D, D), symmetric.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ other_covariance @ root)
    trace = np.sqrt(np.maximum(inner, 0)).sum()
    distance = (
        np.sum(np.square(mean - other_mean))
        + np.trace(covariance)
        + np.trace(other_covariance)
        - 2 * trace
    )
    # Rounding may make the distance of equal Gaussians negative.
    return float(max(distance, 0.0))


def _gaussian(features):
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features have shape {features.shape}; expected (N, D), N at least 2"
        )
    features = features.astype(np.float64)
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))
