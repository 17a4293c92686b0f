"""Kernel Inception Distance, an unbiased alternative to FID."""

import numpy as np

__all__ = ["kid", "squared_mmd"]


def kid(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Squared maximum mean discrepancy, over random subsets.

    A subset has at most half of the rows of its set; subsets of all rows would be equal
    and have no spread. For sets of equal size, the spread over halves estimates the
    standard error of the value (the delete-half jackknife). Smaller subsets have a
    larger spread.

    Args:
        real: (N, D).
        generated: (M, D).
        subsets: pairs of subsets that are compared.
        subset_size: the most rows of a subset; at most N // 2 and M // 2 are used.
        seed: determines the subsets.

    Returns:
        Mean and standard deviation over the subsets. Equal distributions have an
        expected value of 0, so the mean may be negative.

    Raises:
        ValueError: fewer than 4 rows in a set.

    Source: Bińkowski et al., 2018; the jackknife: Shao and Wu, 1989.
    """
    size = min(subset_size, len(real) // 2, len(generated) // 2)
    if size < 2:
        raise ValueError(
            f"{len(real)} and {len(generated)} rows; expected at least 4 of each, "
            "for subsets of 2"
        )
    rng = np.random.default_rng(seed)
    values = [
        squared_mmd(
            real[rng.choice(len(real), size, replace=False)],
            generated[rng.choice(len(generated), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased estimate under the kernel (⟨a, b⟩ / D + 1)³.

    Args:
        x: (N, D), N at least 2.
        y: (M, D), M at least 2.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    within = sum(
        (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
        for kernel in (_kernel(x, x), _kernel(y, y))
    )
    return float(within - 2 * _kernel(x, y).mean())


def _kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3
