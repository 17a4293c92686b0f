"""An evaluation's report as Markdown."""

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.caption_attributes import CLASSIFIER_CAVEAT, JUDGED, TRUSTED

__all__ = ["to_markdown"]

_SCORES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d")
_DESCRIBED = {
    "real": "real images",
    "real_shuffled": "real images, shuffled",
    "neighbour": "(not STREAM: a caption of the nearest training image)",
    "generated": "generated images",
    "shuffled": "generated images, shuffled",
}


def to_markdown(report: dict) -> str:
    """The report of `Evaluation.run` as Markdown.

    Args:
        report: its dictionary, with `model` and `data` besides, texts.
    """
    metrics = report["metrics"]
    lines = [
        f"# Evaluation of {report['model']}",
        "",
        f"{report['captions']} captions of the validation split of {report['data']}, "
        f"an image each, seed {report['seed']}; {report['real_images']} real images.",
        "",
    ]
    if "obedience" in metrics:
        lines += _obedience(metrics["obedience"])
    rows = _figures(metrics)
    if rows:
        lines += ["## Figures", "", "| metric | generated | real | what it is |"]
        lines += ["| --- | --- | --- | --- |", *rows, ""]
    if "features" in report["about"]:
        lines += [f"Features: {report['about']['features']}.", ""]
    if "note" in metrics.get("fid", {}):
        lines += [f"FID {metrics['fid']['note']}.", ""]
    if "redescription" in metrics:
        lines += _redescription(metrics["redescription"])
    if report["not_computed"]:
        lines += ["## Not computed", "", *_missing(report["not_computed"]), ""]
    return "\n".join([*lines, _samples(report["samples"]), ""])


def _missing(reasons):
    """A line a reason."""
    names = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"- {', '.join(of)}: {reason}" for reason, of in names.items()]


def _figures(metrics):
    """Rows of the table: one number each."""
    return [
        f"| {name} | {generated} | {real} | {about} |"
        for name, generated, real, about in (
            *_of_features(metrics),
            *_of_r_precision(metrics.get("r_precision")),
            *_of_diversity(metrics.get("diversity")),
        )
    ]


def _of_features(metrics):
    if "inception_score" in metrics:
        score = metrics["inception_score"]
        real = ""
        if "real_mean" in score:
            real = _spread(score["real_mean"], score["real_std"])
        about = f"{score['splits']} splits; higher is better"
        yield "Inception Score", _spread(score["mean"], score["std"]), real, about
    if "fid" in metrics:
        about = "Fréchet distance of features; lower is better"
        yield "FID", f"{metrics['fid']['value']:.2f}", "0", about
    if "kid" in metrics:
        value = _spread(1000 * metrics["kid"]["mean"], 1000 * metrics["kid"]["std"])
        about = "unbiased; subsets of half the images, 1,000 at most; lower is better"
        yield "KID × 1000", value, "0", about
    abouts = {
        "precision": "share of images among the real ones (10,000 at most), k = 3",
        "recall": "share of real images among the generated ones, k = 3",
        "density": "how thickly real neighbourhoods are filled, k = 5",
        "coverage": "share of real neighbourhoods that are filled, k = 5",
    }
    for name, value in metrics.get("precision_recall", {}).items():
        yield name, f"{value:.3f}", "", abouts[name]


def _of_r_precision(found):
    for k in found["generated"] if found else ():
        generated, real = (
            _spread(100 * found[kind][k]["mean"], 100 * found[kind][k]["std"])
            for kind in ("generated", "real")
        )
        yield (
            f"R-precision, {k.replace('=', ' = ')}",
            f"{generated} %",
            f"{real} %",
            "own caption among 99 of others, by DAMSM, 10 folds; flatters what was "
            "trained by it",
        )


def _of_diversity(result):
    names = {
        "pixel_rmse": "pixels (RMSE of 255)",
        "damsm_cosine_distance": "DAMSM's codes (1 - cosine)",
        "inception_cosine_distance": "Inception's features (1 - cosine)",
        "oracle_cosine_distance": "oracle's features (1 - cosine)",
    }
    for name, text in names.items():
        if result and name in result:
            distance = result[name]
            about = f"mean distance of {result['seeds']} images of one caption"
            if "between" in distance:
                about += f"; of different captions {distance['between']:.3f}"
            yield f"diversity, {text}", f"{distance['within']:.3f}", "", about


def _redescription(result):
    """Tables of what STREAM says of images."""
    lines = [
        "## Redescription",
        "",
        "What STREAM says of images, against the caption that was drawn and against "
        "all captions of its image; CIDEr-D with document frequencies of the real "
        "images' captions. Perplexity: of the drawn caption, given the image. Nearest "
        "in STREAM's features.",
        "",
        "| said of | against | perplexity | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | "
        "ROUGE-L | CIDEr-D |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    described = {kind: name for kind, name in _DESCRIBED.items() if kind in result}
    for kind, name in described.items():
        perplexity = result[kind].get("perplexity")
        for against in ("own_caption", "all_captions"):
            scores = result[kind][against]
            lines.append(
                f"| {name} | {against.replace('_', ' ')} | "
                f"{'-' if perplexity is None else f'{perplexity:.2f}'} | "
                + " | ".join(f"{scores[score]:.3f}" for score in _SCORES)
                + " |"
            )
    if "statements" in result["real"]:
        lines += [
            "",
            "Attributes that STREAM mentions, against the truth about real images and, "
            "of generated ones, against what the caption states:",
            "",
            "| said of | mentions of what is known, a caption | right |",
            "| --- | --- | --- |",
        ]
        for kind, name in described.items():
            said = result[kind]["statements"]
            lines.append(
                f"| {name} | {said['a_caption']:.2f} | {_percent(said['right'])} |"
            )
        lines += ["", *_said_by_attribute(result)]
    return [*lines, ""]


def _said_by_attribute(result):
    """A row an attribute: how often STREAM mentions it, and how often rightly."""
    kinds = [_DESCRIBED[kind] for kind in ("real", "generated")]
    said = [result[kind]["statements"]["attributes"] for kind in ("real", "generated")]
    lines = [
        "| mentions, right | " + " | ".join(kinds) + " |",
        "| --- |" + " --- |" * len(kinds),
    ]
    for name in ATTRIBUTES:
        if any(name in of for of in said):
            cells = [
                f"{of[name]['mentioned']}, {_percent(of[name]['right'])}"
                if name in of
                else "0"
                for of in said
            ]
            lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


def _obedience(result):
    """Tables of what the oracle reads."""
    judged = result["attributes"][JUDGED]
    lines = [
        "## Obedience",
        "",
        f"What captions state, read back by a classifier trained on real birdlets "
        f"only; {judged['captions']} validation captions that state the body's colour. "
        + CLASSIFIER_CAVEAT,
        "",
        "| | body colour |",
        "| --- | --- |",
        f"| **as the caption states** | **{_percent(judged['accuracy'])}** "
        f"({_interval(judged)}) |",
        f"| captions shuffled | {_percent(judged['shuffled'])} |",
        f"| chance | {_percent(judged['chance'])} |",
        f"| always the most frequent | {_percent(judged['majority'])} |",
        f"| the classifier on held-out real images | "
        f"{_percent(result['oracle_accuracy'][JUDGED])} |",
        "",
    ]
    if not result["oracle_trusted"]:
        doubt = f"The classifier is below {_percent(TRUSTED)}: don't trust this."
        lines += [doubt, ""]
    return [*lines, *_by_attribute(result), "", *_by_color(result["values"]), ""]


def _by_attribute(result):
    lines = [
        "| attribute | classifier | captions | shown | shuffled | chance |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in result["attributes"].items():
        accuracy = result["oracle_accuracy"][name]
        doubt = "" if accuracy >= TRUSTED else " (doubtful)"
        lines.append(
            f"| {name.replace('_', ' ')} | {_percent(accuracy)}{doubt} | "
            f"{row['captions']} | {_percent(row['accuracy'])} ({_interval(row)}) | "
            f"{_percent(row['shuffled'])} | {_percent(row['chance'])} |"
        )
    for key, name in (
        ("overall", "all"),
        ("overall_trusted", f"those read at {_percent(TRUSTED)} or better"),
    ):
        row = result[key]
        if row is not None:
            lines.append(
                f"| **{name}** | | {row['statements']} statements | "
                f"**{_percent(row['accuracy'])}** ({_interval(row)}) | "
                f"{_percent(row['shuffled'])} | {_percent(row['chance'])} |"
            )
    return lines


def _by_color(rows):
    return [
        "| stated | captions | shown | most often mistaken for |",
        "| --- | --- | --- | --- |",
        *(
            f"| {row['value']} | {row['captions']} | {_percent(row['accuracy'])} | "
            f"{row['mistaken_for']} |"
            for row in rows
        ),
    ]


def _samples(samples):
    text = f"contact_sheet.png: {len(samples['random'])} images at random, none chosen"
    if "best" in samples:
        text += (
            f"; then, marked as such, the best {len(samples['best'])} and the worst "
            f"{len(samples['worst'])} by {samples['score']}"
        )
    return text + "."


def _spread(mean, std):
    return f"{mean:.2f} ± {std:.2f}"


def _interval(row):
    low, high = row["interval"]
    return f"95 % interval {_percent(low)} to {_percent(high)}"


def _percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"
