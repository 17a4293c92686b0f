"""Inception Score: are images sharp of their class, and of many classes?"""

import numpy as np

__all__ = ["inception_score"]


def inception_score(
    probs: np.ndarray, *, splits: int = 10, seed: int = 0
) -> tuple[float, float]:
    """Exponential of the mean KL divergence of p(class | image) from p(class).

    From 1 (all images look alike to the classifier) to the number of classes (each
    image is surely of one, all equally often). Images are dealt out at random: in
    the order of the captions a part would hold few classes.

    Args:
        probs: (N, classes), rows sum to 1.
        splits: parts that are scored apart; the field's 10.
        seed: of the dealing.

    Returns:
        Mean and standard deviation over the parts.

    Raises:
        ValueError: fewer than two images a split (the score of one image alone is 1,
            whatever the image), or no rows.

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
    # 0 log 0 is 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probs > 0, probs * (np.log(probs) - np.log(marginal)), 0.0)
    return np.exp(terms.sum(axis=1).mean())
