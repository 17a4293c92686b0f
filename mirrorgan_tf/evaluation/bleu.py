"""BLEU of a corpus.

keras_nlp.metrics.Bleu is not used: it needs a pass for each order, is slow for many
captions, and takes the length of the shortest reference where captioning takes the
nearest one.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["bleu", "count_ngrams"]

_MAX_ORDER = 4


def bleu(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
) -> list[float]:
    """BLEU-1 to BLEU-4: the share of n-grams that a reference has too.

    The geometric mean of the clipped precisions over the corpus, times the brevity
    penalty against the reference whose length is nearest (of two equally near ones the
    shorter). There is no smoothing: if no n-gram of an order matches, the scores of
    this order and all higher ones are 0.

    Args:
        candidates: N lists of words.
        references: for each candidate one or more lists of words.

    Returns:
        Four numbers in [0, 1].

    Raises:
        ValueError: numbers of rows differ.

    Source: Papineni et al., 2002.
    """
    matches, totals = np.zeros(_MAX_ORDER), np.zeros(_MAX_ORDER)
    length = reference_length = 0
    for words, others in zip(candidates, references, strict=True):
        length += len(words)
        reference_length += min(
            (len(other) for other in others),
            key=lambda other: (abs(other - len(words)), other),
        )
        for n in range(1, _MAX_ORDER + 1):
            counts = count_ngrams(words, n)
            clip = Counter()
            for other in others:
                clip |= count_ngrams(other, n)
            matches[n - 1] += (counts & clip).total()
            totals[n - 1] += counts.total()
    if not length:
        return [0.0] * _MAX_ORDER
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(totals > 0, matches / totals, 0.0))
    penalty = min(0.0, 1.0 - reference_length / length)
    means = np.cumsum(logs) / np.arange(1, _MAX_ORDER + 1)
    return [float(value) for value in np.exp(means + penalty)]


def count_ngrams(words: Sequence[str], n: int) -> Counter:
    """Number of occurrences of each n-gram."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
