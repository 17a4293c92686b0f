"""ROUGE-L, by the longest common subsequence.

keras_nlp.metrics.RougeL is not used: it needs the package rouge_score, which needs four
others.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["rouge_l"]


def rouge_l(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    *,
    beta: float = 1.2,
) -> float:
    """Mean F measure of the longest common subsequence.

    Precision and recall are each the best over a candidate's references, as in
    COCO's captioning evaluation.

    Args:
        candidates: N lists of words, N at least 1.
        references: for each candidate one or more lists of words.
        beta: weight of recall against precision; COCO's 1.2.

    Returns:
        A number in [0, 1].

    Source: Lin, 2004.
    """
    scores = []
    for words, others in zip(candidates, references, strict=True):
        common = [_common_length(words, other) for other in others]
        precision = max(common) / max(len(words), 1)
        recall = max(
            length / max(len(other), 1)
            for length, other in zip(common, others, strict=True)
        )
        total = recall + beta**2 * precision
        scores.append((1 + beta**2) * precision * recall / total if total else 0.0)
    return float(np.mean(scores))


def _common_length(first, second):
    """Length of the longest common subsequence."""
    # Dynamic programming: the lengths for all beginnings of `second`.
    lengths = [0] * (len(second) + 1)
    for word in first:
        previous = lengths
        lengths = [0]
        for i, other in enumerate(second):
            equal = word == other
            lengths.append(
                previous[i] + 1 if equal else max(previous[i + 1], lengths[i])
            )
    return lengths[-1]
