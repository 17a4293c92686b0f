"""CIDEr-D: agreement of captions in informative n-grams."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.evaluation.bleu import count_ngrams

__all__ = ["cider_d"]


def cider_d(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    documents: Sequence[Sequence[Sequence[str]]] | None = None,
    *,
    max_order: int = 4,
    sigma: float = 6.0,
) -> float:
    """Mean similarity of TF-IDF vectors of 1- to 4-grams, times 10.

    Counts are clipped to the reference's and a difference in length is punished, so
    that repeating rare words does not pay. N-grams of all documents have weight 0, so a
    single document gives 0.

    Args:
        candidates: N lists of words, N at least 1.
        references: for each candidate one or more lists of words.
        documents: from which document frequencies are taken, each the captions of one
            image; None: `references`.
        max_order: length of the longest n-grams.
        sigma: standard deviation of the length penalty, in words.

    Returns:
        A number in [0, 10].

    Source: Vedantam et al., 2015, with the clipping and the length penalty that
    COCO's evaluation calls CIDEr-D.
    """
    documents = references if documents is None else documents
    frequencies = Counter()
    for captions in documents:
        frequencies.update(
            {gram for words in captions for gram in _grams(words, max_order)}
        )
    log_documents = math.log(len(documents))
    # N-grams of no document get the weight of those of a single one.
    weights = {gram: log_documents - math.log(n) for gram, n in frequencies.items()}

    def vectors(words):
        return [
            {
                gram: count * weights.get(gram, log_documents)
                for gram, count in count_ngrams(words, n).items()
            }
            for n in range(1, max_order + 1)
        ]

    scores = []
    for words, others in zip(candidates, references, strict=True):
        own = vectors(words)
        scores.append(
            np.mean(
                [
                    _similarity(own, vectors(other))
                    * math.exp(-((len(words) - len(other)) ** 2) / (2 * sigma**2))
                    for other in others
                ]
            )
        )
    return float(10 * np.mean(scores))


def _grams(words, max_order):
    return [gram for n in range(1, max_order + 1) for gram in count_ngrams(words, n)]


def _similarity(own, other):
    """Mean over the orders of the clipped cosine."""
    cosines = []
    for mine, theirs in zip(own, other, strict=True):
        lengths = _length(mine) * _length(theirs)
        dot = sum(
            min(mine[gram], theirs[gram]) * theirs[gram]
            for gram in mine.keys() & theirs.keys()
        )
        cosines.append(dot / lengths if lengths else 0.0)
    return sum(cosines) / len(cosines)


def _length(vector):
    return math.sqrt(sum(value**2 for value in vector.values()))
