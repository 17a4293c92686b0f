"""Perplexity: among how many words a describer seems to choose at each place."""

import numpy as np

__all__ = ["perplexity"]


def perplexity(log_likelihoods: np.ndarray, words: np.ndarray) -> float:
    """Exponential of the mean surprise a word.

    Args:
        log_likelihoods: (N,) natural logs of the captions' probabilities.
        words: (N,) words that each of them counts, ends included.

    Returns:
        At least 1; the size of the vocabulary for one who knows nothing.

    Raises:
        ValueError: there is no word at all.
    """
    total = np.sum(words)
    if not total:
        raise ValueError("words: none; expected at least one")
    return float(np.exp(-np.sum(np.asarray(log_likelihoods, np.float64)) / total))
