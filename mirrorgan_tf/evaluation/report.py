"""An evaluation's report as Markdown."""

from collections.abc import Mapping

from mirrorgan_tf.evaluation.metric import COMPARED_SETS, Metric

__all__ = ["percent", "to_markdown"]


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
        *_pixel_table(values),
        *_feature_tables(values, report["about"], report["real_images"]),
    ]
    for name, value in values.items():
        if metrics[name].to_markdown is not None:
            lines += metrics[name].to_markdown(value)
    lines += _diversity(values.get("diversity"))
    if report["not_computed"]:
        lines += ["## Not computed", "", *_reasons(report["not_computed"]), ""]
    return "\n".join([*lines, _samples(report["samples"]), ""])


def _table(columns, rows):
    return [
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def _pixel_table(values):
    """Metrics that need no features of a trained network."""
    tests = values.get("two_sample_test", {})
    spectra = values.get("power_spectrum", {})
    rows = []
    for name, text in COMPARED_SETS.items():
        test, spectrum = tests.get(name), spectra.get(name)
        if test is None and spectrum is None:
            continue
        row = [text, "-", "-", "-", "-"]
        if test is not None:
            low, high = test["interval"]
            row[1] = (
                f"{percent(test['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"
            )
        if spectrum is not None:
            keys = ("highest_x", "highest_y", "checkerboard")
            row[2:] = [f"{spectrum[key]:.2f}" for key in keys]
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
        *_table(
            ("images", "two-sample test", "power along x", "along y", "checkerboard"),
            rows,
        ),
    ]


def _feature_tables(values, about, real_images):
    lines = []
    scores = values.get("inception_score", {})
    for features, text in about.items():
        rows = []
        for name, row_title in COMPARED_SETS.items():
            cells = _feature_cells(values, features, name)
            if features == "inception" and name in scores:
                cells.append(_mean_std(scores[name]))
            if any(cell != "-" for cell in cells):
                rows.append([row_title, *cells])
        if not rows:
            continue
        columns = ["images", "FID", "KID × 1000", "precision", "recall"]
        columns += ["density", "coverage"]
        if len(rows[0]) > len(columns):
            columns.append("Inception Score")
        lines += [
            f"## Distance from real images: {features.replace('_', ' ')}",
            "",
            f"Features: {text}. Lower FID and KID are better; the others are best at "
            f"the level of other real images. With {real_images} real images FID is "
            "too high: compare equal numbers only. KID is unbiased.",
            "",
            *_table(columns, rows),
        ]
    return lines


def _feature_cells(values, features, name):
    fid = values.get("fid", {}).get(features, {}).get(name)
    kid = values.get("kid", {}).get(features, {}).get(name)
    shares = values.get("precision_recall", {}).get(features, {}).get(name, {})
    return [
        "-" if fid is None else f"{fid:.2f}",
        "-" if kid is None else _mean_std(kid, 1000),
        *(
            f"{shares[key]:.3f}" if key in shares else "-"
            for key in ("precision", "recall", "density", "coverage")
        ),
    ]


def _diversity(value):
    if value is None:
        return []
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
        *_table(("distance of", "one caption", "different captions"), rows),
    ]


def _reasons(not_computed):
    """One line for each reason."""
    names = {}
    for name, reason in not_computed.items():
        names.setdefault(reason, []).append(name)
    return [f"- {', '.join(of)}: {reason}" for reason, of in names.items()]


def _samples(samples):
    text = f"contact_sheet.png: {len(samples['random'])} images at random, none chosen"
    if "best" in samples:
        text += (
            f"; then, labelled so, the best {len(samples['best'])} and the worst "
            f"{len(samples['worst'])} by {samples['score']}"
        )
    return text + "."


def _mean_std(value, factor=1):
    return f"{factor * value['mean']:.2f} ± {factor * value['std']:.2f}"


def percent(share: float | None) -> str:
    """A share as a percentage, or "-"."""
    return "-" if share is None else f"{100 * share:.1f} %"
