"""Distances between the rows of two large matrices, block by block."""

from collections.abc import Iterator

import numpy as np

__all__ = ["nearest", "squared_distances"]

# Rows whose distances to all others are held in memory together.
_BLOCK = 512


def squared_distances(
    rows: np.ndarray, others: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Squared Euclidean distances of a block of rows to all others.

    Args:
        rows: (N, D).
        others: (M, D).

    Yields:
        The number of the block's first row, and distances (n, M) float64, which the
        caller may modify.
    """
    rows, others = rows.astype(np.float64), others.astype(np.float64)
    squares = np.square(others).sum(axis=1)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        distances = np.square(block).sum(axis=1)[:, None] + squares
        distances -= 2 * block @ others.T
        yield start, np.maximum(distances, 0)


def nearest(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row the position of the nearest row of another matrix.

    Args:
        rows: (N, D).
        among: (M, D), M at least 1.

    Returns:
        (N,) int64.
    """
    return np.concatenate(
        [distances.argmin(axis=1) for _, distances in squared_distances(rows, among)]
    )
