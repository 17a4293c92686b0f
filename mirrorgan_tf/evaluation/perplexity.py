"""Perplexity of captions under a language model such as STREAM."""

import numpy as np

__all__ = ["perplexity"]


def perplexity(log_likelihoods: np.ndarray, words: np.ndarray) -> float:
    """Exponential of the mean negative log-likelihood of a word.

    Args:
        log_likelihoods: (N,) natural logs of the captions' probabilities.
        words: (N,) words of each caption, its end included.

    Returns:
        At least 1; the size of the vocabulary for a uniform guess.

    Raises:
        ValueError: there is no word at all.
    """
    total = np.sum(words)
    if not total:
        raise ValueError("words: none; expected at least one")
    return float(np.exp(-np.sum(np.asarray(log_likelihoods, np.float64)) / total))
