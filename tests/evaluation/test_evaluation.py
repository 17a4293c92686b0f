"""Complete evaluations, with a generator and a feature extractor without networks."""

import dataclasses
import shutil

import numpy as np
import pytest

from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.evaluation import METRICS, Evaluation, EvaluationPlan
from mirrorgan_tf.evaluation.image_sets import real_images
from mirrorgan_tf.evaluation.image_source import ImageSource
from mirrorgan_tf.evaluation.report import to_markdown

# Metrics with different needs. The others would only read the same images again.
TESTED_METRICS = (
    "fid",
    "kid",
    "diversity",
    "inception_score",
    "r_precision",
    "redescription",
)


class PixelExtractor:
    """The mean colours of the four quarters of an image as features."""

    facts = {"network": "none"}
    about = "mean colours"

    def __call__(self, images):
        quarters = images.reshape(len(images), 2, 16, 2, 16, 3).mean(axis=(2, 4))
        return {"features": quarters.reshape(len(images), -1)}


def generate(captions, seeds):
    """Dark noise that depends only on the seed."""
    return np.stack(
        [
            np.random.default_rng(seed).integers(0, 128, (32, 32, 3), np.uint8)
            for seed in seeds
        ]
    )


def unavailable():
    raise UserError("no weights")


@pytest.fixture
def plan(noise_in_coco_layout, tmp_path):
    return EvaluationPlan(
        folder=tmp_path / "out",
        source=ImageSource(generate, 32, {"step": 1}, "step1"),
        splits=read_coco(noise_in_coco_layout),
        extractors={
            "pixels": PixelExtractor,
            "inception": unavailable,
            "damsm": unavailable,
            "stream": unavailable,
        },
        compared_features=("pixels", "inception"),
        metrics={name: METRICS[name] for name in TESTED_METRICS},
        captions=130,
        repeated=(2, 3),
    )


def test_evaluation_has_reference_rows_and_reasons_and_resumes(plan):
    report, sheet = Evaluation(plan).run()
    assert sheet.ndim == 3 and sheet.dtype == np.uint8
    assert report["not_computed"] == dict.fromkeys(
        ("inception_score", "r_precision", "redescription", "features of inception"),
        "no weights",
    )
    assert report["captions"] == 130 and report["real_images"] == 110
    # All validation images are compared, so the others are training images.
    assert (report["other_real_split"], report["other_real_images"]) == ("train", 30)
    fid = report["metrics"]["fid"]["pixels"]
    assert fid["other_real"] < fid["generated"] / 20
    assert fid.keys() == {"generated", "other_real", "blurred_real"}
    assert report["samples"]["score"] is None
    text = to_markdown(report | {"model": "", "data": ""}, plan.metrics)
    assert "mean colours" in text and "Not computed" in text

    images = {p: p.read_bytes() for p in (plan.folder / "images").iterdir()}
    assert len(images) == 130
    # Images and features that are missing are computed again, with equal results.
    for path in list(images)[::40]:
        path.unlink()
    shutil.rmtree(plan.folder / "features" / "real")
    assert Evaluation(plan).run()[0] == report
    assert {p: p.read_bytes() for p in (plan.folder / "images").iterdir()} == images

    with pytest.raises(UserError, match="other settings: capt.*seed=2 .was 1"):
        Evaluation(dataclasses.replace(plan, seed=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"required": ("r_precision", "kid")},
            "=r_precision: not computed: no weights",
        ),
        (
            {"required": ("fid",), "compared_features": ()},
            "=fid: not computed: it compares features, and --features names none",
        ),
    ],
)
def test_required_metric_without_networks_is_an_error_at_once(plan, changes, message):
    with pytest.raises(UserError, match=message):
        Evaluation(dataclasses.replace(plan, **changes))


def test_required_metric_that_fails_is_an_error_after_all_others(plan):
    def fail(inputs):
        raise ValueError("too few pictures")

    failing = dataclasses.replace(METRICS["diversity"], compute=fail)
    plan = dataclasses.replace(
        plan,
        metrics={"diversity": failing, "fid": METRICS["fid"]},
        required=("diversity", "fid"),
        captions=20,
    )
    evaluation = Evaluation(plan)
    report, _ = evaluation.run()
    assert report["metrics"].keys() == {"fid"}
    # There are enough other validation images, so training images are not needed.
    assert (report["other_real_split"], report["other_real_images"]) == ("val", 20)
    with pytest.raises(UserError, match="diversity: not computed: too few pictures"):
        evaluation.raise_if_missing()


def test_damaged_real_image_is_named_in_the_error(noise_in_coco_layout, tmp_path):
    shutil.copytree(noise_in_coco_layout, tmp_path / "coco")
    (tmp_path / "coco" / "val2014" / "3.png").write_bytes(b"no picture")
    images = real_images("real", read_coco(tmp_path / "coco")["val"], 32)
    with pytest.raises(UserError, match="3.png"):
        list(images.batches(32, 0))
