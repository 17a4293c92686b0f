"""CIDEr-D: agreement of captions in informative n-grams."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.evaluation.bleu import count_ngrams

__all__ = ["cider_d"]

_ORDERS = (1, 2, 3, 4)
# Standard deviation of the length penalty, in words.
_SIGMA = 6.0


def cider_d(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    documents: Sequence[Sequence[Sequence[str]]],
) -> float:
    """Mean similarity of TF-IDF vectors of 1- to 4-grams, times 10.

    Counts are clipped to those of the reference and differences in length are
    penalised, so that repeating rare words does not raise the score. N-grams that occur
    in all documents have weight 0; with a single document the score is therefore 0.

    Args:
        candidates: N lists of words, N at least 1.
        references: for each candidate one or more lists of words.
        documents: captions of each image of the data set, for the document
            frequencies.

    Returns:
        A number in [0, 10].

    Source: Vedantam et al., 2015, with the clipping and the length penalty that
    COCO's evaluation calls CIDEr-D.
    """
    frequencies = Counter()
    for captions in documents:
        frequencies.update(
            {
                gram
                for words in captions
                for n in _ORDERS
                for gram in count_ngrams(words, n)
            }
        )
    log_documents = math.log(len(documents))
    # N-grams that occur in no document are weighted as those that occur in one.
    weights = {gram: log_documents - math.log(n) for gram, n in frequencies.items()}

    def vectors(words):
        return [
            {
                gram: count * weights.get(gram, log_documents)
                for gram, count in count_ngrams(words, n).items()
            }
            for n in _ORDERS
        ]

    scores = []
    for words, others in zip(candidates, references, strict=True):
        own = vectors(words)
        scores.append(
            np.mean(
                [
                    _similarity(own, vectors(other))
                    * math.exp(-((len(words) - len(other)) ** 2) / (2 * _SIGMA**2))
                    for other in others
                ]
            )
        )
    return float(10 * np.mean(scores))


def _similarity(candidate_vectors, reference_vectors):
    """Mean over the orders of the clipped cosine of candidate and reference."""
    cosines = []
    for candidate, reference in zip(candidate_vectors, reference_vectors, strict=True):
        lengths = _length(candidate) * _length(reference)
        dot = sum(
            min(candidate[gram], reference[gram]) * reference[gram]
            for gram in candidate.keys() & reference.keys()
        )
        cosines.append(dot / lengths if lengths else 0.0)
    return sum(cosines) / len(cosines)


def _length(vector):
    return math.sqrt(sum(value**2 for value in vector.values()))
