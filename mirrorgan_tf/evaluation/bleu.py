"""BLEU of a corpus.

keras_nlp.metrics.Bleu, against which ours is tested, needs a pass for each order, takes
the shortest reference's length where captioning takes the nearest one's, and is slow
for tens of thousands of captions.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["bleu", "count_ngrams"]


def bleu(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    *,
    most: int = 4,
) -> list[float]:
    """BLEU-1 to BLEU-`most`: the share of n-grams that a reference has too.

    Over the whole corpus: geometric mean of the clipped precisions, times the
    brevity penalty against the length of the nearest reference (of two as near, the
    shorter). Not smoothed: without a single match of some order it is 0.

    Args:
        candidates: N lists of words.
        references: for each candidate one or more lists of words.
        most: the longest n-grams.

    Returns:
        `most` numbers in [0, 1].

    Raises:
        ValueError: numbers of rows differ.

    Source: Papineni et al., 2002.
    """
    matches, totals = np.zeros(most), np.zeros(most)
    length = nearest = 0
    for words, others in zip(candidates, references, strict=True):
        length += len(words)
        nearest += min((abs(len(other) - len(words)), len(other)) for other in others)[
            1
        ]
        for n in range(1, most + 1):
            said = count_ngrams(words, n)
            ceiling = Counter()
            for other in others:
                ceiling |= count_ngrams(other, n)
            matches[n - 1] += (said & ceiling).total()
            totals[n - 1] += said.total()
    if not length:
        return [0.0] * most
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(totals > 0, matches / totals, 0.0))
    penalty = min(0.0, 1.0 - nearest / length)
    means = np.cumsum(logs) / np.arange(1, most + 1)
    return [float(value) for value in np.exp(means + penalty)]


def count_ngrams(words: Sequence[str], n: int) -> Counter:
    """How often each run of n words comes."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
