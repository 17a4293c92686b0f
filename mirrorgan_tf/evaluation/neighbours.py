"""Distances of many rows to many others, some at a time."""

from collections.abc import Iterator

import numpy as np

__all__ = ["nearest", "squared_distances"]

# Rows whose distances to all others are in memory at once.
_BLOCK = 512


def squared_distances(
    rows: np.ndarray, others: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Squared Euclidean distances of some rows at a time to all others.

    Args:
        rows: (N, D).
        others: (M, D).

    Yields:
        The first row's place and distances (n, M) float64, to be changed at will.
    """
    rows, others = rows.astype(np.float64), others.astype(np.float64)
    squares = np.square(others).sum(axis=1)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        distances = np.square(block).sum(axis=1)[:, None] + squares
        distances -= 2 * block @ others.T
        yield start, np.maximum(distances, 0)


def nearest(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row the place of the nearest of others.

    Args:
        rows: (N, D).
        among: (M, D), M at least 1.

    Returns:
        (N,) int64.
    """
    return np.concatenate(
        [distances.argmin(axis=1) for _, distances in squared_distances(rows, among)]
    )
