"""Metrics of birdlets, whose true attributes are known.

`obedience` is the share of the attributes stated by captions that a classifier finds in
the images generated from them. `redescribed_attributes` is the share of correct
attributes in STREAM's captions.
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
from mirrorgan_tf.evaluation.caption_metrics import SHUFFLED_SETS
from mirrorgan_tf.evaluation.metric import Metric
from mirrorgan_tf.evaluation.report import (
    accuracy_with_interval,
    markdown_table,
    percent,
)

__all__ = ["birdlets_metrics", "score_statements"]


def birdlets_metrics(data_dir: Path) -> dict[str, Metric]:
    """Metrics that need the true attributes of the validation split."""

    def stated_attributes(inputs):
        states = read_caption_attributes(data_dir, "val")
        ids = inputs.index.image_ids[inputs.sample.rows]
        return [
            states[int(image_id), caption]
            for image_id, caption in zip(ids, inputs.sample.captions, strict=True)
        ]

    def compute_obedience(inputs):
        read = inputs.features["generated"]["attribute_classifier"]
        accuracy = inputs.extractors["attribute_classifier"].accuracy
        return obedience(stated_attributes(inputs), read, accuracy, seed=inputs.seed)

    def compute_redescribed(inputs):
        stream, rows = inputs.extractors["stream"], inputs.sample.rows
        order = np.random.default_rng(inputs.seed).permutation(len(rows))
        generated = inputs.features["generated"]["stream"]["redescription"]
        real = inputs.features["real"]["stream"]["redescription"][rows]
        codes = read_codes(data_dir, "val", inputs.index.image_ids[rows])
        # All attributes of real images are known. Of generated images only those that
        # the caption states are.
        shown, stated = _values_of(codes), stated_attributes(inputs)
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
    """Counts the attributes that captions state correctly.

    Args:
        texts: N captions.
        truths: for each the known attributes with their values. Statements about other
            attributes are not counted.

    Returns:
        JSON values: `mentioned`, the number of counted statements; `per_caption`, their
        mean number; `right`, the share of correct ones (None without any);
        `attributes`, for each mentioned attribute its own `mentioned` and `right`.
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
    """Tables of all attributes, and of the values of the main attribute."""
    accuracy = result["classifier_accuracy"]
    rows = []
    for name, row in result["attributes"].items():
        doubt = "" if accuracy[name] >= TRUSTED else " (doubtful)"
        cells = [name.replace("_", " "), percent(accuracy[name]) + doubt]
        cells += [str(row["captions"]), accuracy_with_interval(row)]
        rows.append([*cells, percent(row["shuffled"]), percent(row["chance"])])
    for key, title in (
        ("overall", "all"),
        ("overall_trusted", f"those read at {percent(TRUSTED)} or better"),
    ):
        row = result[key]
        if row is not None:
            cells = [f"**{title}**", "", f"{row['statements']} statements"]
            cells.append(f"**{accuracy_with_interval(row)}**")
            rows.append([*cells, percent(row["shuffled"]), percent(row["chance"])])
    value_rows = [
        [
            row["value"],
            str(row["captions"]),
            percent(row["accuracy"]),
            row["mistaken_for"],
        ]
        for row in result["values"]
    ]
    columns = ("classifier on real images", "captions", "obeyed", "shuffled", "chance")
    main = MAIN_ATTRIBUTE.replace("_", " ")
    return [
        "## Obedience",
        "",
        "Share of what captions state that a classifier, trained on real birdlets, "
        "reads from their images (95 % interval). Shuffled: with captions of other "
        "images. The frozen networks of birdlets' recipes learned the same labels, so "
        "this is not independent of the training: compare it with the pictures.",
        "",
        *markdown_table(("attribute", *columns), rows),
        *markdown_table((main, "captions", "obeyed", "most often read"), value_rows),
    ]


def _redescribed_section(result):
    totals = [
        [SHUFFLED_SETS[name], f"{row['per_caption']:.2f}", percent(row["right"])]
        for name, row in result.items()
    ]
    sets = [result[name]["attributes"] for name in ("generated", "real")]
    rows = [
        [
            name.replace("_", " "),
            *(
                f"{counts[name]['mentioned']}, {percent(counts[name]['right'])}"
                if name in counts
                else "0"
                for counts in sets
            ),
        ]
        for name in ATTRIBUTES
    ]
    return [
        "## Redescribed attributes",
        "",
        "Attributes that STREAM mentions and that are known: of real images all, of "
        "generated ones those that the caption states.",
        "",
        *markdown_table(("captions of", "mentioned in a caption", "right"), totals),
        *markdown_table(("mentioned, right", "generated images", "real images"), rows),
    ]
