"""Does an image show what its caption states? Numbers from arrays of codes.

`stated` and `read` are (N,) integers: the value that caption i states and the value
read from image i, both as places among the attribute's values.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = [
    "Obedience",
    "Overall",
    "ValueRow",
    "bootstrap_interval",
    "measure",
    "measure_all",
    "value_table",
]


@dataclasses.dataclass(frozen=True)
class Obedience:
    """How often the value read is the one stated.

    Attributes:
        captions: N.
        accuracy: share of images that show what their caption states.
        interval: 95 % bootstrap interval of the accuracy.
        shuffled: the accuracy when captions change places among the images.
        chance: 1 / number of values.
        majority: share of the value stated most often: what always showing that
            one would reach.
    """

    captions: int
    accuracy: float
    interval: tuple[float, float]
    shuffled: float
    chance: float
    majority: float


@dataclasses.dataclass(frozen=True)
class Overall:
    """How often images show what captions state, over all attributes.

    Attributes:
        statements: attributes that all captions together state.
        accuracy: share of them that the image shows.
        interval: 95 % bootstrap interval; captions are drawn, each with all that it
            states, for what one image shows is not independent.
        shuffled: the accuracy when captions change places among the images.
        chance: mean over the statements of 1 / number of values.
    """

    statements: int
    accuracy: float
    interval: tuple[float, float]
    shuffled: float
    chance: float


@dataclasses.dataclass(frozen=True)
class ValueRow:
    """What became of the captions that state one value.

    Attributes:
        value: the value stated.
        captions: how many state it.
        accuracy: share read as it; NaN without captions.
        mistaken_for: the other value read most often, empty if none.
    """

    value: str
    captions: int
    accuracy: float
    mistaken_for: str


def measure(
    stated: np.ndarray, read: np.ndarray, values: int, *, seed: int
) -> Obedience:
    """Compares what is stated with what is read.

    Args:
        stated: (N,) integers, N at least 1.
        read: (N,) integers.
        values: number of values the attribute has.
        seed: of the bootstrap and of the shuffling.

    Raises:
        ValueError: shapes differ or are empty.
    """
    stated, read = _checked(stated, read)
    right = stated == read
    rng = np.random.default_rng(seed)
    shuffled = [np.mean(rng.permutation(stated) == read) for _ in range(200)]
    return Obedience(
        captions=len(stated),
        accuracy=float(right.mean()),
        interval=bootstrap_interval(right, seed=seed),
        shuffled=float(np.mean(shuffled)),
        chance=1 / values,
        majority=float(np.bincount(stated).max() / len(stated)),
    )


def measure_all(
    stated: np.ndarray, read: np.ndarray, values: Sequence[int], *, seed: int
) -> Overall:
    """Compares all that captions state with what is read.

    Args:
        stated: (N, attributes) integers, -1 where a caption says nothing.
        read: (N, attributes) integers.
        values: number of values of each attribute.
        seed: of the bootstrap and of the shuffling.

    Raises:
        ValueError: shapes differ, or nothing is stated.
    """
    if stated.shape != read.shape or stated.ndim != 2 or not (stated >= 0).any():
        raise ValueError(
            f"stated has shape {stated.shape}, read {read.shape}; expected the same "
            "(N, attributes) and at least one statement"
        )
    said = stated >= 0
    right = ((stated == read) & said).sum(axis=1)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(stated), (1000, len(stated)))
    shares = right[draws].sum(axis=1) / np.maximum(
        said.sum(axis=1)[draws].sum(axis=1), 1
    )
    low, high = np.quantile(shares, [0.025, 0.975])
    # Unsaid places never agree: nothing is read as -1.
    shuffled = [(rng.permutation(stated) == read).sum() for _ in range(200)]
    return Overall(
        statements=int(said.sum()),
        accuracy=float(right.sum() / said.sum()),
        interval=(float(low), float(high)),
        shuffled=float(np.mean(shuffled) / said.sum()),
        chance=float(np.sum(said / np.asarray(values)) / said.sum()),
    )


def bootstrap_interval(
    right: np.ndarray, *, seed: int, level: float = 0.95, draws: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of a share.

    Args:
        right: (N,) booleans.
        seed: of the draws.
        level: share of the draws inside the interval.
        draws: samples of size N, with replacement.
    """
    # How many of N draws with replacement are right is binomial.
    hits = np.random.default_rng(seed).binomial(len(right), np.mean(right), draws)
    low, high = np.quantile(hits / len(right), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def value_table(
    stated: np.ndarray, read: np.ndarray, values: Sequence[str]
) -> list[ValueRow]:
    """One row for each value, in their order."""
    stated, read = _checked(stated, read)
    rows = []
    for code, value in enumerate(values):
        counts = np.bincount(read[stated == code], minlength=len(values))
        total, right = int(counts.sum()), int(counts[code])
        counts[code] = 0
        rows.append(
            ValueRow(
                value=value,
                captions=total,
                accuracy=right / total if total else float("nan"),
                mistaken_for=values[int(counts.argmax())] if counts.any() else "",
            )
        )
    return rows


def _checked(stated, read):
    stated, read = np.asarray(stated), np.asarray(read)
    if stated.ndim != 1 or stated.shape != read.shape or not len(stated):
        raise ValueError(
            f"stated has shape {stated.shape}, read {read.shape}; expected the same "
            "(N,) with N at least 1"
        )
    return stated, read
