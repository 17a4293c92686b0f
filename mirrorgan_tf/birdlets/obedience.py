"""Obedience: the share of attributes stated by captions that their images show.

A classifier that is trained on real birdlets reads the attributes from the images.
"""

from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.evaluation.two_sample_test import binomial_interval

__all__ = ["MAIN_ATTRIBUTE", "TRUSTED", "obedience"]

MAIN_ATTRIBUTE = "body_color"
# Attributes for which the classifier's accuracy on real images is lower are reported as
# doubtful.
TRUSTED = 0.97
_SHUFFLES, _BOOTSTRAPS = 200, 1000


def obedience(
    states: Sequence[dict[str, str]],
    read: dict[str, np.ndarray],
    classifier_accuracy: dict[str, float],
    *,
    seed: int,
) -> dict:
    """Compares attributes stated by captions with those read from their images.

    Args:
        states: for each of N captions the attributes that it states.
        read: attribute -> (N,) codes read from the generated images.
        classifier_accuracy: attribute -> accuracy on held-out real images.
        seed: determines bootstrap samples and shuffling.

    Returns:
        JSON values: `classifier_accuracy`; `attributes`, attribute -> see `_attribute`;
        `overall` and `overall_trusted`, see `_overall`, of all attributes and of those
        that the classifier reads well (None if there are none); `values`, one row for
        each body colour.

    Raises:
        ValueError: no caption states anything.
    """
    names = list(ATTRIBUTES)
    stated = np.array(
        [
            [
                ATTRIBUTES[name].index(state[name]) if name in state else -1
                for name in names
            ]
            for state in states
        ]
    )
    codes = np.stack([read[name] for name in names], axis=1)
    trusted = [classifier_accuracy[name] >= TRUSTED for name in names]
    sizes = np.array([len(values) for values in ATTRIBUTES.values()])
    main = names.index(MAIN_ATTRIBUTE)
    return {
        "classifier_accuracy": classifier_accuracy,
        "attributes": {
            name: _attribute(stated[:, i], codes[:, i], len(ATTRIBUTES[name]), seed)
            for i, name in enumerate(names)
            if (stated[:, i] >= 0).any()
        },
        "overall": _overall(stated, codes, sizes, seed),
        "overall_trusted": (
            _overall(stated[:, trusted], codes[:, trusted], sizes[trusted], seed)
            if (stated[:, trusted] >= 0).any()
            else None
        ),
        "values": _values(stated[:, main], codes[:, main], ATTRIBUTES[MAIN_ATTRIBUTE]),
    }


def _attribute(stated, read, values, seed):
    """JSON values of one attribute.

    `captions`: how many state it. `accuracy`: the share of their images that show the
    stated value, with `interval`. `shuffled`: the accuracy if captions are randomly
    permuted among the images. `chance`: 1 / number of values. `majority`: the accuracy
    if all images showed the value that is stated most often.
    """
    rows = stated >= 0
    stated, read = stated[rows], read[rows]
    correct, count = int((stated == read).sum()), len(stated)
    rng = np.random.default_rng(seed)
    shuffled = [np.mean(rng.permutation(stated) == read) for _ in range(_SHUFFLES)]
    return {
        "captions": count,
        "accuracy": correct / count,
        "interval": binomial_interval(correct, count),
        "shuffled": float(np.mean(shuffled)),
        "chance": 1 / values,
        "majority": float(np.bincount(stated).max() / count),
    }


def _overall(stated, read, sizes, seed):
    """As `_attribute`, over all statements of all captions.

    The interval is a bootstrap over captions, because the statements of one caption
    are not independent.
    """
    mask = stated >= 0
    if not mask.any():
        raise ValueError("states holds no statement; expected at least one")
    # Attributes that a caption does not state have the code -1, which `read` never has.
    correct, counts = (stated == read).sum(axis=1), mask.sum(axis=1)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(stated), (_BOOTSTRAPS, len(stated)))
    shares = correct[rows].sum(axis=1) / np.maximum(counts[rows].sum(axis=1), 1)
    shuffled = [(rng.permutation(stated) == read).sum() for _ in range(_SHUFFLES)]
    return {
        "statements": int(mask.sum()),
        "accuracy": float(correct.sum() / mask.sum()),
        "interval": np.quantile(shares, [0.025, 0.975]).tolist(),
        "shuffled": float(np.mean(shuffled) / mask.sum()),
        "chance": float(np.sum(mask / sizes) / mask.sum()),
    }


def _values(stated, read, values):
    """For each value: captions that state it, accuracy, the most frequent mistake."""
    rows = []
    for code, value in enumerate(values):
        counts = np.bincount(read[stated == code], minlength=len(values))
        total, correct = int(counts.sum()), int(counts[code])
        counts[code] = 0
        rows.append(
            {
                "value": value,
                "captions": total,
                "accuracy": correct / total if total else None,
                "mistaken_for": values[int(counts.argmax())] if counts.any() else "",
            }
        )
    return rows
