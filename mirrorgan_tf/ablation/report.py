"""What an ablation has found so far: report.json, report.md, plot.png, images.png."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan_tf.ablation.plot import Panel, dot_plot
from mirrorgan_tf.ablation.summary import (
    FIGURES,
    compare,
    read_figures,
    read_real,
    spread,
)
from mirrorgan_tf.ablation.variants import BASELINE, Run, Variant
from mirrorgan_tf.birdlets.caption_attributes import CLASSIFIER_CAVEAT
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import write_whole
from mirrorgan_tf.pictures import column_grid, save_image

__all__ = ["summarise", "to_markdown", "write_report"]

_SHOWN = 8

# A run, the folder of its evaluation, and the report of that.
Finished = tuple[Run, Path, dict]


def write_report(
    folder: Path,
    finished: Sequence[Finished],
    *,
    variants: Sequence[Variant],
    planned: Sequence[Run],
    seconds: Mapping[str, float],
) -> None:
    """Writes everything anew.

    Args:
        folder: to write into.
        finished: at least one.
        variants: in the tables' order; those without a finished run are left out.
        planned: all runs, finished or not.
        seconds: a run's name to the time it took.

    Raises:
        UserError: the folder cannot be written, or an image not be read.
    """
    report = summarise(finished, variants=variants, planned=planned, seconds=seconds)
    try:
        save_image(_plot(report), folder / "plot.png")
        save_image(_images(finished, variants), folder / "images.png")
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(folder / "report.json", text)
        write_whole(folder / "report.md", to_markdown(report))
    except OSError as error:
        raise UserError(f"{folder}: the report can't be written ({error})") from None


def summarise(
    finished: Sequence[Finished],
    *,
    variants: Sequence[Variant],
    planned: Sequence[Run],
    seconds: Mapping[str, float],
) -> dict:
    """The report as JSON values; arguments are those of `write_report`."""
    by_variant = {variant.name: {} for variant in variants}
    for run, _, report in finished:
        by_variant[run.variant.name][run.seed] = read_figures(report)
    baseline = by_variant.get(BASELINE)
    rows = {
        variant.name: {
            "about": variant.about,
            "seeds": sorted(by_variant[variant.name]),
            "figures": _figures(by_variant[variant.name]),
            "against_mirror": _differences(by_variant[variant.name], baseline),
        }
        for variant in variants
        if by_variant[variant.name]
    }
    names = [run.name for run, _, _ in finished]
    _, _, first = finished[0]
    return {
        "steps": planned[0].config.glam.steps,
        "captions": first["captions"],
        "real_images": first["real_images"],
        "runs": len(planned),
        "missing": [run.name for run in planned if run.name not in names],
        "variants": rows,
        "real": read_real(first),
        "minutes": {
            name: round(seconds[name] / 60, 1) for name in names if name in seconds
        },
    }


def to_markdown(report: dict) -> str:
    """What `summarise` gives, as tables."""
    done = report["runs"] - len(report["missing"])
    lines = [
        "# Ablation",
        "",
        f"{done} of {report['runs']} runs; {report['steps']} steps of GLAM each, "
        f"{report['captions']} validation captions, an image each, "
        f"{report['real_images']} real images.",
        "",
        *_header(report, "seeds"),
        *(_row(report, name, row) for name, row in report["variants"].items()),
        *_real_row(report),
        "",
        "Mean ± standard deviation over seeds. Obedience, body colour and FID's "
        f"features are a classifier's. {CLASSIFIER_CAVEAT} Variants with λ > 0 are "
        "trained by STREAM, which also gives the redescriptions; attngan is trained by "
        "DAMSM, which also gives R-precision.",
        "",
        *_comparison(report),
    ]
    if report["minutes"]:
        longest = max(report["minutes"].values())
        lines += [f"The longest run took {longest} minutes.", ""]
    if report["missing"]:
        lines += [f"Not there yet: {', '.join(report['missing'])}.", ""]
    return "\n".join(lines)


def _figures(by_seed):
    """Figure -> its spread and values, of one variant."""
    return {
        name: dataclasses.asdict(spread(list(values.values()))) | {"values": values}
        for name in FIGURES
        if (values := _values(by_seed, name))
    }


def _values(by_seed, name):
    """Seed -> one figure."""
    return {seed: of[name] for seed, of in by_seed.items() if name in of}


def _differences(by_seed, baseline):
    if not baseline or by_seed is baseline:
        return {}
    found = {}
    for name, figure in FIGURES.items():
        difference = compare(
            _values(by_seed, name),
            _values(baseline, name),
            higher_is_better=figure.higher_is_better,
        )
        if difference is not None:
            found[name] = dataclasses.asdict(difference)
    return found


def _columns(report):
    """Figures that some variant has."""
    rows = report["variants"].values()
    return [name for name in FIGURES if any(name in row["figures"] for row in rows)]


def _header(report, second):
    titles = [_title(FIGURES[name]) for name in _columns(report)]
    return [
        f"| variant | {second} | " + " | ".join(titles) + " |",
        "| --- | --- |" + " --- |" * len(titles),
    ]


def _row(report, name, row):
    cells = [_shown(row["figures"].get(figure), figure) for figure in _columns(report)]
    return f"| {name}: {row['about']} | {len(row['seeds'])} | {' | '.join(cells)} |"


def _title(figure):
    return figure.title + ("" if figure.higher_is_better else " (lower is better)")


def _real_row(report):
    if not report["real"]:
        return []
    cells = [
        f"{report['real'][name]:.{FIGURES[name].digits}f}"
        if name in report["real"]
        else ""
        for name in _columns(report)
    ]
    return ["| real images | | " + " | ".join(cells) + " |"]


def _comparison(report):
    """Lines about differences, if there are any."""
    rows = report["variants"].items()
    compared = {name: row for name, row in rows if row["against_mirror"]}
    if not compared:
        return []
    return [
        f"## Against {BASELINE}",
        "",
        "Differences of runs with the same seed; in brackets, in how many of them the "
        "variant is the better one.",
        "",
        *_header(report, "seeds in both"),
        *(_difference_row(report, name, row) for name, row in compared.items()),
        "",
    ]


def _difference_row(report, name, row):
    cells, shared = [], 0
    for figure in _columns(report):
        difference = row["against_mirror"].get(figure)
        text = _shown(difference, figure, "+")
        if difference:
            shared = max(shared, difference["seeds"])
            text += f" ({difference['better_in']})"
        cells.append(text)
    return f"| {name} | {shared} | " + " | ".join(cells) + " |"


def _shown(value, figure, sign=""):
    if value is None:
        return "-"
    digits = FIGURES[figure].digits
    text = f"{value['mean']:{sign}.{digits}f}"
    return text if value["std"] is None else f"{text} ± {value['std']:.{digits}f}"


def _plot(report):
    rows = list(report["variants"])
    panels = [
        Panel(
            _title(FIGURES[name]),
            {
                row: list(of["figures"].get(name, {"values": {}})["values"].values())
                for row, of in report["variants"].items()
            },
            real=report["real"].get(name),
        )
        for name in _columns(report)
    ]
    return dot_plot(panels, rows)


def _images(finished, variants):
    """The same captions and noise, a column a variant, each with its first seed."""
    firsts = {}
    for run, folder, report in finished:
        firsts.setdefault(run.variant.name, (folder, report))
    names = [variant.name for variant in variants if variant.name in firsts]
    _, _, report = finished[0]
    rows = report["samples"]["random"][:_SHOWN]
    images = [
        [_read(firsts[name][0] / "images" / f"{row:06d}.png") for name in names]
        for row in rows
    ]
    captions = [report["samples"]["captions"][str(row)] for row in rows]
    return column_grid(images, names, captions)


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
