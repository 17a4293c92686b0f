"""The tables of an ablation: mean ± standard deviation over seeds, differences."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mirrorgan_tf.ablation.sweep import Run
from mirrorgan_tf.evaluation.report import markdown_table

__all__ = ["COLUMNS", "Column", "summarize", "to_markdown"]


class Column(NamedTuple):
    """A column: title, keys of the value in a report's `metrics`, factor and digits."""

    title: str
    path: tuple[str, ...]
    scale: float = 1.0
    digits: int = 1


# The features are those of the autoencoder, which is trained once for all runs and
# needs no download.
_GENERATED = ("autoencoder", "generated")
COLUMNS = (
    Column("attributes as stated, %", ("obedience", "overall", "accuracy"), 100),
    Column(
        "body colour, %", ("obedience", "attributes", "body_color", "accuracy"), 100
    ),
    Column("R-precision, k = 1, %", ("r_precision", "generated", "k=1", "mean"), 100),
    Column(
        "redescribed correctly, %",
        ("redescribed_attributes", "generated", "right"),
        100,
    ),
    Column("FID (lower is better)", ("fid", *_GENERATED), 1, 2),
    Column("KID (lower is better)", ("kid", *_GENERATED, "mean"), 1, 4),
    Column("precision, %", ("precision_recall", *_GENERATED, "precision"), 100),
    Column("recall, %", ("precision_recall", *_GENERATED, "recall"), 100),
)


def summarize(runs: Sequence[Run], reports: Mapping[str, dict]) -> dict:
    """Means, standard deviations and differences over seeds, as JSON values.

    Args:
        runs: all planned runs; the variant of the first one is the baseline.
        reports: name of a finished run -> the report of its evaluation; at least one.

    Returns:
        Dictionary of `steps`, `captions`, `baseline`, `missing` (names of unfinished
        runs) and `variants`. Each variant has `description`, `figures` and
        `differences` (from the baseline with the same seed): title of the column ->
        `mean`, `std` (None for one seed) and `values` by seed.
    """
    values: dict[str, dict[int, dict[str, float]]] = {}
    for run in runs:
        seeds = values.setdefault(run.variant.name, {})
        if run.name in reports:
            seeds[run.seed] = _read_columns(reports[run.name]["metrics"])
    baseline = runs[0].variant.name
    differences = {
        name: {
            seed: _subtract(row, values[baseline][seed])
            for seed, row in seeds.items()
            if seed in values[baseline] and name != baseline
        }
        for name, seeds in values.items()
    }
    return {
        "steps": runs[0].config.glam.steps,
        "captions": next(iter(reports.values()))["captions"],
        "baseline": baseline,
        "missing": [run.name for run in runs if run.name not in reports],
        "variants": {
            run.variant.name: {
                "description": run.variant.description,
                "figures": _spreads(values[run.variant.name]),
                "differences": _spreads(differences[run.variant.name]),
            }
            for run in runs
        },
    }


def to_markdown(table: dict) -> str:
    """Two tables of what `summarize` returns."""
    lines = [
        "# Ablation",
        "",
        f"{table['steps']} steps of stage glam each, {table['captions']} validation "
        "captions, an image each. Mean ± standard deviation over seeds, whose number "
        "is in brackets.",
        "",
        *_table_lines(table, "figures"),
        f"## Differences from {table['baseline']}, of equal seeds",
        "",
        *_table_lines(table, "differences", sign="+"),
        *(f"- {name}: {row['description']}" for name, row in table["variants"].items()),
        "",
    ]
    if table["missing"]:
        lines += [f"Not finished: {', '.join(table['missing'])}.", ""]
    return "\n".join(lines)


def _read_columns(metrics):
    """Title -> value, for the columns that the evaluation computed."""
    row = {}
    for column in COLUMNS:
        value = metrics
        for key in column.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            row[column.title] = value * column.scale
    return row


def _subtract(row, other):
    return {title: row[title] - other[title] for title in row if title in other}


def _spreads(rows):
    """Title -> mean, standard deviation and values over seeds."""
    spreads = {}
    for column in COLUMNS:
        values = {
            seed: row[column.title] for seed, row in rows.items() if column.title in row
        }
        if values:
            spreads[column.title] = {
                "mean": statistics.fmean(values.values()),
                "std": statistics.stdev(values.values()) if len(values) > 1 else None,
                "values": values,
            }
    return spreads


def _table_lines(table, kind, *, sign=""):
    """Lines of a Markdown table of `figures` or `differences`."""
    rows = {name: row[kind] for name, row in table["variants"].items() if row[kind]}
    columns = [
        column
        for column in COLUMNS
        if any(column.title in row for row in rows.values())
    ]
    return markdown_table(
        ["variant", *(column.title for column in columns)],
        [
            [name, *(_format(row.get(col.title), col, sign) for col in columns)]
            for name, row in rows.items()
        ],
    )


def _format(spread, column, sign):
    if spread is None:
        return "-"
    text = f"{spread['mean']:{sign}.{column.digits}f}"
    if spread["std"] is not None:
        text += f" ± {spread['std']:.{column.digits}f}"
    return f"{text} ({len(spread['values'])})"
