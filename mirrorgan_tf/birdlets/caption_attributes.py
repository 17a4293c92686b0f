"""Captions' claims about birdlets against what the oracle reads from their images."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.obedience import measure, measure_all, value_table
from mirrorgan_tf.birdlets.reading import read_states
from mirrorgan_tf.birdlets.truth import Claim

__all__ = [
    "CLASSIFIER_CAVEAT",
    "JUDGED",
    "TRUSTED",
    "Truth",
    "check_statements",
    "judge",
    "judgeable",
    "shown",
]

JUDGED = "body_color"
# Belongs beside every figure of the classifier's: obedience, and FID of its features.
CLASSIFIER_CAVEAT = (
    "No generator is trained by this classifier, but it is not independent of what "
    "trains one: with --image_encoder_weights=backbone, as in birdlets' recipes, the "
    "frozen backbone of STREAM and DAMSM has learned the same labels of the same "
    "training images."
)
# Accuracy on real images below which the oracle is no judge of an attribute.
TRUSTED = 0.97


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is known of birdlets.

    Attributes:
        claims: what captions state.
        codes: attribute -> (M,) what M images show, places among its values.
    """

    claims: list[Claim]
    codes: dict[str, np.ndarray]


def judgeable(claims: Sequence[Claim]) -> list[int]:
    """Places of the captions that state the body's colour."""
    return [place for place, claim in enumerate(claims) if JUDGED in claim.states]


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
        A dictionary fit for JSON: `oracle_accuracy`, `oracle_trusted` (of the body's
        colour), `judged`, `attributes` (attribute -> numbers of `Obedience`),
        `overall` and `overall_trusted` (numbers of `Overall`: of all attributes, and
        of those that the oracle reads well; None without any) and `values` (a row
        for each body colour).
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
        "oracle_trusted": oracle_accuracy[JUDGED] >= TRUSTED,
        "attributes": attributes,
        "overall": _overall(claims, read, list(ATTRIBUTES), seed),
        "overall_trusted": _overall(
            claims,
            read,
            [name for name in ATTRIBUTES if oracle_accuracy[name] >= TRUSTED],
            seed,
        ),
        "values": [
            # JSON has no NaN.
            dataclasses.asdict(row) | ({} if row.captions else {"accuracy": None})
            for row in rows
        ],
    }


def check_statements(
    texts: Sequence[str], truths: Sequence[dict[str, str]]
) -> dict[str, float | int | None]:
    """How true captions are that a network wrote.

    Args:
        texts: N captions.
        truths: for each the attributes that are known, with their values; what a
            caption says of others is not counted.

    Returns:
        `a_caption`, the mean number of known attributes that it mentions, `mentioned`
        in all, `right`, the share of them that is true (None without any), and
        `attributes`, the last two of each attribute that is mentioned.
    """
    found = {name: [] for name in ATTRIBUTES}
    for states, truth in zip(map(read_states, texts), truths, strict=True):
        for name in states.keys() & truth.keys():
            found[name].append(states[name] == truth[name])
    right = [value for values in found.values() for value in values]
    return {
        "a_caption": len(right) / len(texts),
        "mentioned": len(right),
        "right": float(np.mean(right)) if right else None,
        "attributes": {
            name: {"mentioned": len(values), "right": float(np.mean(values))}
            for name, values in found.items()
            if values
        },
    }


def shown(codes: dict[str, np.ndarray]) -> list[dict[str, str]]:
    """Codes (M,) by attribute to values by attribute, for each of M images."""
    return [
        {name: ATTRIBUTES[name][code] for name, code in zip(codes, row, strict=True)}
        for row in zip(*codes.values(), strict=True)
    ]


def _overall(claims, read, names, seed):
    if not any(name in claim.states for claim in claims for name in names):
        return None
    stated = [
        [
            ATTRIBUTES[name].index(claim.states[name]) if name in claim.states else -1
            for name in names
        ]
        for claim in claims
    ]
    shown = np.stack([read[name] for name in names], axis=1)
    values = [len(ATTRIBUTES[name]) for name in names]
    return dataclasses.asdict(measure_all(np.array(stated), shown, values, seed=seed))


def _codes(claims, rows, name):
    return np.array([ATTRIBUTES[name].index(claims[row].states[name]) for row in rows])
