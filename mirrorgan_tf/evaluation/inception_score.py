"""Inception Score: is each image clearly of one class, and are there many classes?"""

import numpy as np

__all__ = ["inception_score"]


def inception_score(
    probs: np.ndarray, *, splits: int = 10, seed: int = 0
) -> tuple[float, float]:
    """Exponential of the mean KL divergence of p(class | image) from p(class).

    The score is between 1 (the same prediction for all images) and the number of
    classes (certain predictions, all classes equally often). Images are assigned to
    splits at random; in the order of the captions a split would have few classes.

    Args:
        probs: (N, classes), rows sum to 1.
        splits: number of parts, each with a score of its own; the literature uses 10.
        seed: determines the assignment.

    Returns:
        Mean and standard deviation over the splits.

    Raises:
        ValueError: fewer than two images a split; the score of a single image is
            always 1.

    Source: Salimans et al., 2016, section 4.
    """
    probs = np.asarray(probs)
    if probs.ndim != 2 or len(probs) < 2 * splits:
        raise ValueError(
            f"probs has shape {probs.shape}; expected (N, classes), N at least "
            f"{2 * splits}"
        )
    order = np.random.default_rng(seed).permutation(len(probs))
    scores = [_score(probs[rows]) for rows in np.array_split(order, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(probs):
    probs = probs.astype(np.float64)
    marginal = probs.mean(axis=0)
    # The limit of p log p for p = 0 is 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probs > 0, probs * (np.log(probs) - np.log(marginal)), 0.0)
    return np.exp(terms.sum(axis=1).mean())
