import json

import numpy as np
import pytest

from mirrorgan_tf.data.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.data.birdlets.truth import Claim
from mirrorgan_tf.metrics.report import choose_claims, judge, to_markdown

COLORS = ATTRIBUTES["body_color"]


def claim(number, **states):
    return Claim(image_id=number, caption=f"caption {number}", states=states)


@pytest.fixture
def claims():
    return [
        claim(0, body_color="red", direction="left"),
        claim(1, body_color="red"),
        claim(2, body_color="blue", direction="right"),
        claim(3, body_color="white"),
    ]


@pytest.fixture
def read():
    codes = {name: np.zeros(4, int) for name in ATTRIBUTES}
    shown = ["red", "blue", "blue", "red"]
    codes["body_color"] = np.array([COLORS.index(color) for color in shown])
    codes["direction"] = np.array([0, 1, 1, 1])
    return codes


def test_judge_compares_only_what_is_stated(claims, read):
    report = judge(claims, read, dict.fromkeys(ATTRIBUTES, 0.99), seed=0)
    assert report["attributes"].keys() == {"body_color", "direction"}
    assert report["attributes"]["body_color"]["accuracy"] == 0.5
    assert report["attributes"]["direction"]["captions"] == 2
    assert report["attributes"]["direction"]["accuracy"] == 1
    rows = {row["value"]: row for row in report["values"]}
    assert rows["red"]["captions"] == 2 and rows["red"]["accuracy"] == 0.5
    assert rows["white"]["mistaken_for"] == "red"
    assert rows["green"]["accuracy"] is None
    # Strict JSON, without NaN.
    json.dumps(report, allow_nan=False)


def test_markdown_tells_all_numbers(claims, read):
    report = judge(claims, read, dict.fromkeys(ATTRIBUTES, 0.97), seed=0)
    text = to_markdown(report)
    assert "**50.0 %**" in text and "| chance | 10.0 % |" in text
    assert "| the classifier on held-out real images | 97.0 % |" in text
    assert "| red | 2 | 50.0 % | blue |" in text
    assert "don't trust" not in text


def test_weak_oracle_is_told(claims, read):
    report = judge(claims, read, dict.fromkeys(ATTRIBUTES, 0.9), seed=0)
    assert not report["oracle_trusted"]
    assert "don't trust this" in to_markdown(report)


def test_choose_claims_takes_those_that_state_the_color():
    claims = [
        claim(i, **({"body_color": "red"} if i % 2 else {"tail": "long"}))
        for i in range(100)
    ]
    assert len(choose_claims(claims, 1000, seed=0)) == 50
    chosen = choose_claims(claims, 20, seed=0)
    assert len({one.image_id for one in chosen}) == 20
    assert all("body_color" in one.states for one in chosen)
    assert chosen == choose_claims(claims, 20, seed=0)
    assert chosen != choose_claims(claims, 20, seed=1)
