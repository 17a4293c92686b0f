"""Metrics of birdlets, whose true attributes are known.

`obedience`: the share of what captions state that the generated images show, read by a
classifier. `redescribed_attributes`: whether what STREAM says of images is true.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.birdlets.attributes import (
    ATTRIBUTES,
    read_caption_attributes,
    read_codes,
)
from mirrorgan_tf.birdlets.obedience import MAIN_ATTRIBUTE, TRUSTED, obedience
from mirrorgan_tf.birdlets.reading import read_states
from mirrorgan_tf.evaluation.metric import Metric
from mirrorgan_tf.evaluation.report import percent

__all__ = ["birdlets_metrics", "score_statements"]


def birdlets_metrics(data_dir: Path) -> dict[str, Metric]:
    """Metrics that need the true attributes of the validation split."""

    def statements(inputs):
        states = read_caption_attributes(data_dir, "val")
        ids = inputs.index.image_ids[inputs.sample.rows]
        return [
            states[int(image_id), caption]
            for image_id, caption in zip(ids, inputs.sample.captions, strict=True)
        ]

    def compute_obedience(inputs):
        read = inputs.features["generated"]["attribute_classifier"]
        accuracy = inputs.extractors["attribute_classifier"].accuracy
        return obedience(statements(inputs), read, accuracy, seed=inputs.seed)

    def compute_redescribed(inputs):
        stream, rows = inputs.extractors["stream"], inputs.sample.rows
        order = np.random.default_rng(inputs.seed).permutation(len(rows))
        generated = inputs.features["generated"]["stream"]["redescription"]
        real = inputs.features["real"]["stream"]["redescription"][rows]
        codes = read_codes(data_dir, "val", inputs.index.image_ids[rows])
        # Everything is known of real images; generated ones should show what their
        # caption states.
        shown, stated = _values_of(codes), statements(inputs)
        return {
            name: score_statements(stream.texts(ids), truths)
            for name, ids, truths in (
                ("generated", generated, stated),
                ("generated_shuffled", generated[order], stated),
                ("real", real, shown),
                ("real_shuffled", real[order], shown),
            )
        }

    return {
        "obedience": Metric(
            compute_obedience,
            needs=("attribute_classifier",),
            to_markdown=_obedience_section,
        ),
        "redescribed_attributes": Metric(
            compute_redescribed,
            needs=("stream",),
            to_markdown=_redescribed_section,
        ),
    }


def score_statements(texts: Sequence[str], truths: Sequence[dict[str, str]]) -> dict:
    """How many statements of captions are true.

    Args:
        texts: N captions.
        truths: for each the known attributes with their values; statements about
            others are not counted.

    Returns:
        JSON values: `per_caption`, the mean number of counted statements; `mentioned`,
        their number; `right`, the share that is true (None without any); `attributes`,
        the last two of each attribute that is mentioned.
    """
    results = {name: [] for name in ATTRIBUTES}
    for states, truth in zip(map(read_states, texts), truths, strict=True):
        for name in states.keys() & truth.keys():
            results[name].append(states[name] == truth[name])
    right = [value for values in results.values() for value in values]
    return {
        "per_caption": len(right) / len(texts),
        "mentioned": len(right),
        "right": float(np.mean(right)) if right else None,
        "attributes": {
            name: {"mentioned": len(values), "right": float(np.mean(values))}
            for name, values in results.items()
            if values
        },
    }


def _values_of(codes):
    """Codes (M,) by attribute to values by attribute, for each of M images."""
    return [
        {name: ATTRIBUTES[name][code] for name, code in zip(codes, row, strict=True)}
        for row in zip(*codes.values(), strict=True)
    ]


def _obedience_section(result):
    """Tables of what the classifier reads."""
    accuracy = result["classifier_accuracy"]
    lines = [
        "## Obedience",
        "",
        "Share of what captions state that a classifier, trained on real birdlets, "
        "reads from their images (95 % interval). Shuffled: with captions of other "
        "images. The frozen networks of birdlets' recipes learned the same labels, so "
        "this is not independent of the training: compare it with the pictures.",
        "",
        "| attribute | classifier on real images | captions | obeyed | shuffled | "
        "chance |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in result["attributes"].items():
        doubt = "" if accuracy[name] >= TRUSTED else " (doubtful)"
        lines.append(
            f"| {name.replace('_', ' ')} | {percent(accuracy[name])}{doubt} | "
            f"{row['captions']} | {_with_interval(row)} | {percent(row['shuffled'])} | "
            f"{percent(row['chance'])} |"
        )
    for key, name in (
        ("overall", "all"),
        ("overall_trusted", f"those read at {percent(TRUSTED)} or better"),
    ):
        row = result[key]
        if row is not None:
            lines.append(
                f"| **{name}** | | {row['statements']} statements | "
                f"**{_with_interval(row)}** | {percent(row['shuffled'])} | "
                f"{percent(row['chance'])} |"
            )
    lines += [
        "",
        f"| {MAIN_ATTRIBUTE.replace('_', ' ')} | captions | obeyed | most often read |",
        "| --- | --- | --- | --- |",
    ]
    for row in result["values"]:
        lines.append(
            f"| {row['value']} | {row['captions']} | {percent(row['accuracy'])} | "
            f"{row['mistaken_for']} |"
        )
    return [*lines, ""]


def _redescribed_section(result):
    titles = {
        "generated": "generated images",
        "generated_shuffled": "generated images, shuffled captions",
        "real": "real images",
        "real_shuffled": "real images, shuffled captions",
    }
    lines = [
        "## Redescribed attributes",
        "",
        "Attributes that STREAM mentions and that are known: of real images all, of "
        "generated ones those that the caption states.",
        "",
        "| captions of | mentioned in a caption | right |",
        "| --- | --- | --- |",
        *(
            f"| {titles[name]} | {row['per_caption']:.2f} | {percent(row['right'])} |"
            for name, row in result.items()
        ),
        "",
        "| mentioned, right | generated images | real images |",
        "| --- | --- | --- |",
    ]
    rows = [result[name]["attributes"] for name in ("generated", "real")]
    for name in ATTRIBUTES:
        cells = [
            f"{row[name]['mentioned']}, {percent(row[name]['right'])}"
            if name in row
            else "0"
            for row in rows
        ]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return [*lines, ""]


def _with_interval(row):
    low, high = row["interval"]
    return f"{percent(row['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"
