"""The nearest of many rows."""

import numpy as np

__all__ = ["nearest"]

_ROWS_AT_ONCE = 1024


def nearest(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row the place of the nearest of others, by Euclidean distance.

    Args:
        rows: (N, D).
        among: (M, D), M at least 1.

    Returns:
        (N,) int64.
    """
    among = np.asarray(among, np.float32)
    lengths = np.sum(among**2, axis=1)
    places = [
        # Short of the rows' own lengths, which move no minimum.
        np.argmin(lengths - 2 * rows[start : start + _ROWS_AT_ONCE] @ among.T, axis=1)
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return np.concatenate(places)
