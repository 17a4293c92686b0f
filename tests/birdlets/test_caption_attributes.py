import json

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.caption_attributes import check_statements, judge, judgeable
from mirrorgan_tf.birdlets.truth import Claim

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


def test_overall_counts_every_statement(claims, read):
    accuracy = dict.fromkeys(ATTRIBUTES, 0.99) | {"direction": 0.9}
    report = judge(claims, read, accuracy, seed=0)
    # Colours: 2 of 4; directions: left and right, both shown.
    assert report["overall"]["statements"] == 6
    assert report["overall"]["accuracy"] == pytest.approx(4 / 6)
    assert report["overall"]["chance"] == pytest.approx((4 / 10 + 2 / 2) / 6)
    # The oracle does not read directions well enough here.
    assert report["overall_trusted"]["statements"] == 4
    assert report["overall_trusted"]["accuracy"] == 0.5


def test_an_oracle_below_its_mark_is_not_trusted(claims, read):
    report = judge(claims, read, dict.fromkeys(ATTRIBUTES, 0.9), seed=0)
    assert not report["oracle_trusted"]
    assert report["overall_trusted"] is None


def test_captions_that_state_the_color_can_be_judged():
    claims = [
        claim(i, **({"body_color": "red"} if i % 2 else {"tail": "long"}))
        for i in range(10)
    ]
    assert judgeable(claims) == [1, 3, 5, 7, 9]


def test_statements_are_counted_where_the_truth_is_known():
    texts = ["a red bird with a short tail", "a bird", "a blue duck"]
    truths = [
        {"body_color": "red", "tail": "long"},
        {"body_color": "red"},
        {"body_color": "blue"},
    ]
    assert check_statements(texts, truths) == {
        "a_caption": 1,
        "mentioned": 3,
        "right": pytest.approx(2 / 3),
        "attributes": {
            "body_color": {"mentioned": 2, "right": 1},
            "tail": {"mentioned": 1, "right": 0},
        },
    }
    assert check_statements(["a bird"], truths[:1])["right"] is None
