"""Precision and recall of generated images, by neighbourhoods of features.

Source: Kynkäänniemi et al., 2019 (precision, recall); Naeem et al., 2020 (density,
coverage).
"""

import numpy as np

from mirrorgan_tf.evaluation.neighbours import squared_distances

__all__ = ["density_and_coverage", "precision_and_recall"]


def precision_and_recall(
    real: np.ndarray, generated: np.ndarray, *, k: int = 3
) -> tuple[float, float]:
    """Precision and recall by k-nearest-neighbour manifolds.

    The manifold of a set is the union of balls around its rows. The radius of a ball is
    the distance from its row to the row's k-th nearest neighbour.

    Args:
        real: (N, D), N above k.
        generated: (M, D), M above k.
        k: which neighbour defines the radius.

    Returns:
        Precision, the share of generated rows inside the real manifold, and recall, the
        share of real rows inside the generated manifold.

    Raises:
        ValueError: a set has no more than k rows.
    """
    precision = _hits(real, _radii(real, k), generated)[1] > 0
    recall = _hits(generated, _radii(generated, k), real)[1] > 0
    return float(precision.mean()), float(recall.mean())


def density_and_coverage(
    real: np.ndarray, generated: np.ndarray, *, k: int = 5
) -> tuple[float, float]:
    """Density and coverage of generated rows in balls around the real rows.

    Args:
        real: (N, D), N above k.
        generated: (M, D).
        k: which neighbour defines the radius of a ball.

    Returns:
        Density, the mean number of real balls that contain a generated row, divided by
        k (expected to be 1 for equal distributions; it can be higher), and coverage,
        the share of real balls that contain a generated row.

    Raises:
        ValueError: `real` has no more than k rows.
    """
    by_ball, by_point = _hits(real, _radii(real, k), generated)
    return float(by_point.mean() / k), float((by_ball > 0).mean())


def _radii(features, k):
    """Squared distance of each row to its k-th nearest other row, (N,)."""
    if len(features) <= k:
        raise ValueError(f"{len(features)} rows; expected more than k={k}")
    radii = []
    for start, distances in squared_distances(features, features):
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf
        radii.append(np.partition(distances, k - 1, axis=1)[:, k - 1])
    return np.concatenate(radii)


def _hits(centers, radii, points):
    """Numbers of points inside each ball, and of balls that contain each point."""
    by_ball, by_point = np.zeros(len(centers), int), []
    for _, distances in squared_distances(points, centers):
        inside = distances <= radii
        by_ball += inside.sum(axis=0)
        by_point.append(inside.sum(axis=1))
    return by_ball, np.concatenate(by_point)
