"""CIDEr-D: agreement of captions in the n-grams that are telling."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.metrics.bleu import count_ngrams

__all__ = ["cider_d"]


def cider_d(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    documents: Sequence[Sequence[Sequence[str]]] | None = None,
    *,
    most: int = 4,
    sigma: float = 6.0,
) -> float:
    """Mean similarity of TF-IDF vectors of 1- to 4-grams, times 10.

    A candidate's counts are clipped to the reference's, and a difference in length is
    punished, so that repeating telling words does not pay. What all documents say
    counts for nothing: one document gives 0.

    Args:
        candidates: N lists of words, N at least 1.
        references: for each candidate one or more lists of words.
        documents: what document frequencies are of, each the captions of one image;
            None: `references`.
        most: the longest n-grams.
        sigma: of the length penalty, in words.

    Returns:
        A number in [0, 10].

    Source: Vedantam et al., 2015, with the clipping and the length penalty that
    COCO's evaluation calls CIDEr.
    """
    documents = references if documents is None else documents
    frequencies = Counter()
    for captions in documents:
        frequencies.update({gram for words in captions for gram in _grams(words, most)})
    rarity = _Rarity(frequencies, len(documents))
    scores = []
    for words, others in zip(candidates, references, strict=True):
        said = rarity.vectors(words, most)
        scores.append(
            np.mean(
                [
                    _similarity(said, rarity.vectors(other, most))
                    * np.exp(-((len(words) - len(other)) ** 2) / (2 * sigma**2))
                    for other in others
                ]
            )
        )
    return float(10 * np.mean(scores))


class _Rarity:
    """Weights of n-grams."""

    def __init__(self, frequencies, documents):
        self._frequencies = frequencies
        self._documents = documents

    def vectors(self, words, most):
        """For each order the weighted counts by n-gram."""
        return [
            {
                gram: count * np.log(self._documents / max(self._frequencies[gram], 1))
                for gram, count in count_ngrams(words, n).items()
            }
            for n in range(1, most + 1)
        ]


def _grams(words, most):
    return [gram for n in range(1, most + 1) for gram in count_ngrams(words, n)]


def _similarity(said, other):
    """Mean over the orders of the clipped cosine."""
    cosines = []
    for mine, theirs in zip(said, other, strict=True):
        lengths = _length(mine) * _length(theirs)
        dot = sum(
            min(mine[gram], theirs[gram]) * theirs[gram]
            for gram in mine.keys() & theirs.keys()
        )
        cosines.append(dot / lengths if lengths else 0.0)
    return np.mean(cosines)


def _length(vector):
    return np.sqrt(sum(value**2 for value in vector.values()))
