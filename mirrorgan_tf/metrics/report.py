"""The evaluation's result: put together, and as text for people."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.data.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.data.birdlets.truth import Claim
from mirrorgan_tf.metrics.obedience import measure, value_table

__all__ = ["JUDGED", "choose_claims", "judge", "to_markdown"]

JUDGED = "body_color"
# Below it the oracle is no judge.
_TRUSTED = 0.95


def choose_claims(claims: Sequence[Claim], most: int, *, seed: int) -> list[Claim]:
    """The captions that state the body's colour, or that many of them at random."""
    stating = [claim for claim in claims if JUDGED in claim.states]
    if len(stating) <= most:
        return stating
    rows = np.random.default_rng(seed).choice(len(stating), most, replace=False)
    return [stating[row] for row in sorted(rows)]


def judge(
    claims: Sequence[Claim],
    read: dict[str, np.ndarray],
    oracle_accuracy: dict[str, float],
    *,
    seed: int,
) -> dict:
    """Compares captions with what was read from their images.

    Args:
        claims: N captions; each states the body's colour.
        read: attribute -> (N,) codes read from the generated images.
        oracle_accuracy: attribute -> accuracy on held-out real images.
        seed: of bootstrap and shuffling.

    Returns:
        A dictionary fit for JSON: `oracle_accuracy`, `oracle_trusted`, `judged`,
        `attributes` (attribute -> numbers of `Obedience`) and `values` (a row for
        each body colour).
    """
    attributes = {}
    for name, values in ATTRIBUTES.items():
        rows = [row for row, claim in enumerate(claims) if name in claim.states]
        if rows:
            stated = _codes(claims, rows, name)
            attributes[name] = dataclasses.asdict(
                measure(stated, read[name][rows], len(values), seed=seed)
            )
    stated = _codes(claims, range(len(claims)), JUDGED)
    rows = value_table(stated, read[JUDGED], ATTRIBUTES[JUDGED])
    return {
        "judged": JUDGED,
        "oracle_accuracy": oracle_accuracy,
        "oracle_trusted": oracle_accuracy[JUDGED] >= _TRUSTED,
        "attributes": attributes,
        "values": [
            # JSON has no NaN.
            dataclasses.asdict(row) | ({} if row.captions else {"accuracy": None})
            for row in rows
        ],
    }


def to_markdown(report: dict) -> str:
    """The report as Markdown."""
    judged = report["attributes"][JUDGED]
    low, high = judged["interval"]
    lines = [
        f"# Obedience of {report.get('workdir', 'the model')}",
        "",
        f"Body colour of generated images, read back by a classifier trained on real "
        f"birdlets only; {judged['captions']} validation captions, an image each.",
        "",
        "| | body colour |",
        "| --- | --- |",
        f"| **as the caption states** | **{_percent(judged['accuracy'])}** "
        f"(95 % interval {_percent(low)} to {_percent(high)}) |",
        f"| captions shuffled | {_percent(judged['shuffled'])} |",
        f"| chance | {_percent(judged['chance'])} |",
        f"| always the most frequent | {_percent(judged['majority'])} |",
        f"| the classifier on held-out real images | "
        f"{_percent(report['oracle_accuracy'][JUDGED])} |",
        "",
    ]
    if not report["oracle_trusted"]:
        lines += [
            f"The classifier is below {_percent(_TRUSTED)}: don't trust this.",
            "",
        ]
    lines += ["| stated | captions | shown | most often mistaken for |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [
        f"| {row['value']} | {row['captions']} | {_percent(row['accuracy'])} | "
        f"{row['mistaken_for']} |"
        for row in report["values"]
    ]
    lines += ["", "Other attributes, where these captions state them:", ""]
    lines += ["| attribute | captions | shown | shuffled | chance | classifier |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {name.replace('_', ' ')} | {row['captions']} | {_percent(row['accuracy'])} "
        f"| {_percent(row['shuffled'])} | {_percent(row['chance'])} "
        f"| {_percent(report['oracle_accuracy'][name])} |"
        for name, row in report["attributes"].items()
        if name != JUDGED
    ]
    return "\n".join(lines) + "\n"


def _codes(claims, rows, name):
    return np.array([ATTRIBUTES[name].index(claims[row].states[name]) for row in rows])


def _percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"
