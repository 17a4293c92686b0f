import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.caption_attributes import judge
from mirrorgan_tf.birdlets.truth import Claim
from mirrorgan_tf.evaluation.report import to_markdown


def report(**changes):
    return {
        "model": "runs/x, step 3",
        "data": "coco (data/coco)",
        "captions": 40,
        "seed": 1,
        "real_images": 30,
        "about": {},
        "metrics": {},
        "not_computed": {},
        "samples": {"score": None, "random": [1, 2]},
    } | changes


@pytest.fixture
def obedience():
    colors = ATTRIBUTES["body_color"]
    states = ["red", "red", "blue", "white"]
    shown = ["red", "blue", "blue", "red"]
    claims = [Claim(i, "", {"body_color": color}) for i, color in enumerate(states)]
    read = {name: np.zeros(4, int) for name in ATTRIBUTES}
    read["body_color"] = np.array([colors.index(color) for color in shown])
    return lambda accuracy: judge(
        claims, read, dict.fromkeys(ATTRIBUTES, accuracy), seed=0
    )


def test_obedience_comes_with_all_that_it_is_measured_by(obedience):
    text = to_markdown(report(metrics={"obedience": obedience(0.98)}))
    assert "**50.0 %**" in text and "| chance | 10.0 % |" in text
    assert "| the classifier on held-out real images | 98.0 % |" in text
    assert "| red | 2 | 50.0 % | blue |" in text
    assert "backbone of STREAM and DAMSM has learned the same labels" in text
    assert "don't trust" not in text and "doubtful" not in text


def test_a_weak_oracle_is_told(obedience):
    text = to_markdown(report(metrics={"obedience": obedience(0.9)}))
    assert "don't trust this" in text
    assert "| body color | 90.0 % (doubtful) |" in text


def test_what_is_not_computed_is_no_number():
    reasons = {"fid": "no weights", "obedience": "no birds", "kid": "no weights"}
    text = to_markdown(report(not_computed=reasons))
    assert "- fid, kid: no weights\n- obedience: no birds\n" in text
    assert "| FID" not in text


def test_figures_stand_beside_those_of_real_images():
    share = {f"k={k}": {"mean": k / 10, "std": 0.01} for k in (1, 2, 3)}
    text = to_markdown(
        report(
            metrics={
                "fid": {"value": 12.345, "note": "of few images"},
                "r_precision": {"generated": share, "real": share},
                "diversity": {
                    "captions": 2,
                    "seeds": 5,
                    "pixel_rmse": {"within": 4.0, "between": 9.0},
                },
            },
            about={"features": "some network"},
        )
    )
    assert "| FID | 12.35 |" in text or "| FID | 12.34 |" in text
    assert "FID of few images." in text and "Features: some network." in text
    assert "| R-precision, k = 2 | 20.00 ± 1.00 % | 20.00 ± 1.00 % |" in text
    assert "| 4.000 |  | mean distance of 5 images of one caption; of diff" in text


def test_samples_tell_how_they_were_chosen():
    samples = {"score": "X", "random": [1, 2], "best": [3], "worst": [4]}
    assert "2 images at random, none chosen." in to_markdown(report())
    text = to_markdown(report(samples=samples))
    assert "marked as such, the best 1 and the worst 1 by X" in text


def test_what_stream_says_is_told_by_attribute():
    scores = dict.fromkeys(
        ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"), 0.5
    )
    said = {"perplexity": 2.0, "own_caption": scores, "all_captions": scores}

    def statements(attributes):
        return {"a_caption": 1.5, "mentioned": 3, "right": 0.5} | {
            "attributes": attributes
        }

    real = statements({"tail": {"mentioned": 40, "right": 0.75}})
    none = statements({})
    text = to_markdown(
        report(
            metrics={
                "redescription": {
                    "real": said | {"statements": real},
                    "generated": said | {"statements": none},
                    "shuffled": said | {"statements": none},
                }
            }
        )
    )
    assert "| mentions, right | real images | generated images |" in text
    assert "| tail | 40, 75.0 % | 0 |" in text
    assert "| wing color |" not in text
