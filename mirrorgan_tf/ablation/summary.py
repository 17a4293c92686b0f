"""From the runs' evaluations to a table: means, spreads, differences of equal seeds."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from mirrorgan_tf.birdlets.caption_attributes import JUDGED

__all__ = [
    "FIGURES",
    "METRICS",
    "Difference",
    "Figure",
    "Spread",
    "compare",
    "read_figures",
    "read_real",
    "spread",
]

# What `evaluate` must compute.
METRICS = ("obedience", "r_precision", "fid", "redescription")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A column of the table.

    Attributes:
        title: of column and plot, with the unit.
        path: to the value in an evaluation's `metrics`.
        real: to that of real images; none if there is no such thing.
        scale: a factor, 100 for percents.
        digits: behind the point.
        higher_is_better: False: lower is.
    """

    title: str
    path: tuple[str, ...]
    real: tuple[str, ...] = ()
    scale: float = 1.0
    digits: int = 1
    higher_is_better: bool = True


FIGURES = {
    "obedience": Figure(
        "obedience, %", ("obedience", "overall", "accuracy"), scale=100
    ),
    "obedience_trusted": Figure(
        "obedience, well read attributes, %",
        ("obedience", "overall_trusted", "accuracy"),
        scale=100,
    ),
    "body_color": Figure(
        "body colour, %",
        ("obedience", "attributes", JUDGED, "accuracy"),
        ("obedience", "oracle_accuracy", JUDGED),
        scale=100,
    ),
    "r_precision": Figure(
        "R-precision, k = 1, %",
        ("r_precision", "generated", "k=1", "mean"),
        ("r_precision", "real", "k=1", "mean"),
        scale=100,
    ),
    "fid": Figure("FID", ("fid", "value"), digits=2, higher_is_better=False),
    "bleu_4": Figure(
        "BLEU-4",
        ("redescription", "generated", "all_captions", "bleu_4"),
        ("redescription", "real", "all_captions", "bleu_4"),
        digits=3,
    ),
    "statements": Figure(
        "redescribed rightly, %",
        ("redescription", "generated", "statements", "right"),
        ("redescription", "real", "statements", "right"),
        scale=100,
    ),
}


@dataclasses.dataclass(frozen=True)
class Spread:
    """Values of several seeds.

    Attributes:
        mean: of them.
        std: sample standard deviation; None of a single one.
        seeds: how many.
    """

    mean: float
    std: float | None
    seeds: int


@dataclasses.dataclass(frozen=True)
class Difference(Spread):
    """One variant minus another, seed by seed.

    Attributes:
        better_in: of the seeds, those in which the first is the better one.
    """

    better_in: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation; ValueError without values."""
    if not values:
        raise ValueError("values is empty; expected at least one")
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def compare(
    values: Mapping[int, float],
    others: Mapping[int, float],
    *,
    higher_is_better: bool,
) -> Difference | None:
    """The difference over the seeds that both have; None if they share none.

    Args:
        values: by seed.
        others: likewise; they are taken off.
        higher_is_better: False: lower values are.
    """
    pairs = [values[seed] - others[seed] for seed in sorted(values.keys() & others)]
    if not pairs:
        return None
    better = sum((pair > 0) if higher_is_better else (pair < 0) for pair in pairs)
    return Difference(**dataclasses.asdict(spread(pairs)), better_in=better)


def read_figures(report: Mapping) -> dict[str, float]:
    """The values of `FIGURES` in an evaluation's report; what it lacks is left out."""
    return _read(report, {name: figure.path for name, figure in FIGURES.items()})


def read_real(report: Mapping) -> dict[str, float]:
    """Those of real images."""
    return _read(report, {name: figure.real for name, figure in FIGURES.items()})


def _read(report, paths):
    found = {}
    for name, path in paths.items():
        value = report["metrics"]
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if path and value is not None:
            found[name] = value * FIGURES[name].scale
    return found
