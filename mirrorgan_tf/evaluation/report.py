"""An evaluation's report as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from mirrorgan_tf.evaluation.metric import COMPARED_SETS, Metric

__all__ = [
    "accuracy_with_interval",
    "markdown_table",
    "mean_and_spread",
    "percent",
    "to_markdown",
]


def to_markdown(report: dict, metrics: Mapping[str, Metric]) -> str:
    """The report of `Evaluation.run` as Markdown.

    Args:
        report: its dictionary, with the texts `model` and `data` added.
        metrics: those of the plan, by name.
    """
    values = report["metrics"]
    lines = [
        f"# Evaluation of {report['model']}",
        "",
        f"{report['captions']} captions of the validation split of {report['data']}, "
        f"one image each, seed {report['seed']}; {report['real_images']} real images. "
        f"Other real images: {report['other_real_images']} of split "
        f"{report['other_real_split']}.",
        "",
        *_pixel_section(values),
        *_feature_sections(values, report["about"], report["real_images"]),
    ]
    for name, value in values.items():
        if metrics[name].to_markdown is not None:
            lines += metrics[name].to_markdown(value)
    if "diversity" in values:
        lines += _diversity_section(values["diversity"])
    if report["not_computed"]:
        lines += ["## Not computed", "", *_reasons(report["not_computed"]), ""]
    return "\n".join([*lines, _contact_sheet_line(report["samples"]), ""])


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table with its title row, and an empty line."""
    return [
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def percent(share: float | None) -> str:
    """A share as a percentage, or "-"."""
    return "-" if share is None else f"{100 * share:.1f} %"


def accuracy_with_interval(value: Mapping) -> str:
    """`accuracy` and `interval` as percentages, such as "61.8 % (57.5 to 66.0)"."""
    low, high = value["interval"]
    return f"{percent(value['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"


def mean_and_spread(value: Mapping[str, float], factor=1, *, digits: int = 2) -> str:
    """`mean` and `std`, each multiplied by a factor, such as "1.50 ± 0.20"."""
    return f"{factor * value['mean']:.{digits}f} ± {factor * value['std']:.{digits}f}"


def _pixel_section(values):
    """Metrics that need no features of a trained network."""
    tests = values.get("two_sample_test", {})
    spectra = values.get("power_spectrum", {})
    rows = []
    for name, title in COMPARED_SETS.items():
        if name not in tests and name not in spectra:
            continue
        row = [title, "-", "-", "-", "-"]
        if name in tests:
            row[1] = accuracy_with_interval(tests[name])
        if name in spectra:
            keys = ("highest_x", "highest_y", "checkerboard")
            row[2:] = [f"{spectra[name][key]:.2f}" for key in keys]
        rows.append(row)
    if not rows:
        return []
    return [
        "## Realism without labels",
        "",
        "Two-sample test: held-out images that a small network, trained to tell these "
        "images from the real ones, attributes rightly (95 % interval); 50 % is "
        "perfect. Power: ratio to the real images near the highest frequencies and of "
        "the checkerboard; 1 is perfect, above it are artefacts, below it is blur.",
        "",
        *markdown_table(
            ("images", "two-sample test", "power along x", "along y", "checkerboard"),
            rows,
        ),
    ]


def _feature_sections(values, about, real_images):
    """A section for each feature extractor whose features were compared."""
    lines = []
    scores = values.get("inception_score", {})
    for features, description in about.items():
        rows = []
        for name, title in COMPARED_SETS.items():
            cells = _feature_cells(values, features, name)
            if features == "inception" and name in scores:
                cells.append(mean_and_spread(scores[name]))
            if any(cell != "-" for cell in cells):
                rows.append([title, *cells])
        if not rows:
            continue
        columns = ["images", "FID", "KID × 1000", "precision", "recall"]
        columns += ["density", "coverage"]
        if len(rows[0]) > len(columns):
            columns.append("Inception Score")
        lines += [
            f"## Distance from real images: {features.replace('_', ' ')}",
            "",
            f"Features: {description}. Lower FID and KID are better; the others are "
            f"best at the level of other real images. With {real_images} real images "
            "FID is too high: compare equal numbers only. KID is unbiased.",
            "",
            *markdown_table(columns, rows),
        ]
    return lines


def _feature_cells(values, features, name):
    fid = values.get("fid", {}).get(features, {}).get(name)
    kid = values.get("kid", {}).get(features, {}).get(name)
    shares = values.get("precision_recall", {}).get(features, {}).get(name, {})
    return [
        "-" if fid is None else f"{fid:.2f}",
        "-" if kid is None else mean_and_spread(kid, 1000),
        *(
            f"{shares[key]:.3f}" if key in shares else "-"
            for key in ("precision", "recall", "density", "coverage")
        ),
    ]


def _diversity_section(value):
    rows = [
        [
            key.removesuffix("_cosine_distance").replace("_", " "),
            f"{distance['within']:.3f}",
            f"{distance['between']:.3f}",
        ]
        for key, distance in value.items()
        if isinstance(distance, dict)
    ]
    return [
        "## Diversity",
        "",
        f"Mean distance between the {value['seeds']} images of one caption, and "
        f"between images of {value['captions']} captions: root mean square of pixels "
        "(0 to 255), else 1 - cosine of features.",
        "",
        *markdown_table(("distance of", "one caption", "different captions"), rows),
    ]


def _reasons(not_computed):
    """One line for each reason, with the names of all metrics that it concerns."""
    names_by_reason = {}
    for name, reason in not_computed.items():
        names_by_reason.setdefault(reason, []).append(name)
    return [
        f"- {', '.join(names)}: {reason}" for reason, names in names_by_reason.items()
    ]


def _contact_sheet_line(samples):
    text = f"contact_sheet.png: {len(samples['random'])} images at random, none chosen"
    if "best" in samples:
        text += (
            f"; then, labelled so, the best {len(samples['best'])} and the worst "
            f"{len(samples['worst'])} by {samples['score']}"
        )
    return text + "."
