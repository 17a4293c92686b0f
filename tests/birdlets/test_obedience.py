import json

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.obedience import obedience

COLORS = ATTRIBUTES["body_color"]
STATES = [
    {"body_color": "red", "direction": "left"},
    {"body_color": "red"},
    {"body_color": "blue", "direction": "right"},
    {"body_color": "white"},
]
SHOWN = ["red", "blue", "blue", "red"]


@pytest.fixture
def read():
    codes = {name: np.zeros(4, int) for name in ATTRIBUTES}
    codes["body_color"] = np.array([COLORS.index(color) for color in SHOWN])
    codes["direction"] = np.array([0, 1, 1, 1])
    return codes


def test_obedience_counts_only_what_captions_state(read):
    result = obedience(STATES, read, dict.fromkeys(ATTRIBUTES, 0.99), seed=0)
    assert result["attributes"].keys() == {"body_color", "direction"}
    color = result["attributes"]["body_color"]
    assert (color["captions"], color["accuracy"]) == (4, 0.5)
    assert (color["chance"], color["majority"]) == (0.1, 0.5)
    assert color["interval"][0] < 0.5 < color["interval"][1]
    assert result["attributes"]["direction"]["captions"] == 2
    rows = {row["value"]: row for row in result["values"]}
    assert rows["red"] == {
        "value": "red",
        "captions": 2,
        "accuracy": 0.5,
        "mistaken_for": "blue",
    }
    assert rows["white"]["mistaken_for"] == "red"
    assert rows["green"]["accuracy"] is None
    # Strict JSON, without NaN.
    json.dumps(result, allow_nan=False)


def test_overall_counts_every_statement_and_leaves_out_doubtful_attributes(read):
    accuracy = dict.fromkeys(ATTRIBUTES, 0.99) | {"direction": 0.9}
    result = obedience(STATES, read, accuracy, seed=0)
    # 2 of 4 colours and both directions are shown as stated.
    assert result["overall"]["statements"] == 6
    assert result["overall"]["accuracy"] == pytest.approx(4 / 6)
    assert result["overall"]["chance"] == pytest.approx((4 / 10 + 2 / 2) / 6)
    assert result["overall_trusted"]["statements"] == 4
    assert result["overall_trusted"]["accuracy"] == 0.5


def test_shuffled_accuracy_tends_to_its_closed_form():
    rng = np.random.default_rng(1)
    stated, shown = rng.integers(0, 5, 400), rng.integers(0, 3, 400)
    read = {name: np.zeros(400, int) for name in ATTRIBUTES} | {"body_color": shown}
    states = [{"body_color": COLORS[code]} for code in stated]
    result = obedience(states, read, dict.fromkeys(ATTRIBUTES, 1.0), seed=0)
    # A random pairing is correct with probability sum p(stated = k) p(read = k).
    shares = [np.bincount(codes, minlength=5) / 400 for codes in (stated, shown)]
    for row in (result["attributes"]["body_color"], result["overall"]):
        assert row["shuffled"] == pytest.approx(np.dot(*shares), abs=0.01)


def test_overall_interval_is_wider_if_statements_of_a_caption_depend_on_each_other():
    rng = np.random.default_rng(0)
    names = ["direction", "crest", "tail", "wing_pattern"]
    states = [{name: ATTRIBUTES[name][1] for name in names}] * 300
    widths = []
    for right in (
        np.repeat(rng.integers(0, 2, (300, 1)), 4, axis=1),
        rng.integers(0, 2, (300, 4)),
    ):
        read = {name: np.zeros(300, int) for name in ATTRIBUTES}
        read |= dict(zip(names, right.T, strict=True))
        overall = obedience(states, read, dict.fromkeys(ATTRIBUTES, 1.0), seed=1)
        low, high = overall["overall"]["interval"]
        assert low < right.mean() < high
        widths.append(high - low)
    # Four equal statements count as one: 1.96 times the standard error of 300 samples.
    assert widths[0] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(300), rel=0.1)
    assert widths[1] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1200), rel=0.1)


def test_obedience_refuses_captions_without_statements(read):
    with pytest.raises(ValueError, match="at least one"):
        obedience([{}] * 4, read, dict.fromkeys(ATTRIBUTES, 1.0), seed=0)
