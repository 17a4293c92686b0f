"""Metrics of a report, computed from extractors with known results."""

import dataclasses

import numpy as np
import pytest

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation import image_metrics
from mirrorgan_tf.evaluation.contact_sheet import contact_sheet
from mirrorgan_tf.evaluation.evaluation import METRICS
from mirrorgan_tf.evaluation.image_folder import ImageFolder
from mirrorgan_tf.evaluation.image_sets import ImageSet, blurred
from mirrorgan_tf.evaluation.metric import MetricInputs, NotComputed
from mirrorgan_tf.evaluation.sampling import CaptionSample
from mirrorgan_tf.evaluation.two_sample_test import TwoSampleTest

COUNT = 120


class FakeStream:
    """Redescription i is caption i; captions are likely if a feature is near 1."""

    def __init__(self, captions):
        self._captions = captions

    def texts(self, ids):
        return [self._captions[number] for number in ids]

    def likelihood(self, features, captions):
        words = np.array([len(caption.split()) for caption in captions])
        return -words * (1 + np.abs(features[:, 0] - 1)), words


class FakeDamsm:
    """Embeds each caption in a direction of its own."""

    def __init__(self, captions):
        self._rows = {caption: row for row, caption in enumerate(captions)}

    def embed(self, captions):
        return np.eye(len(self._rows))[[self._rows[c] for c in captions]]


def image_set(name, images):
    def batches(size, start):
        for first in range(start, len(images), size):
            yield images[first : first + size]

    return ImageSet(name, len(images), batches)


@pytest.fixture
def inputs(tmp_path):
    index = CaptionedImages(
        paths=("",) * COUNT,
        captions=tuple(
            (f"a bird w{i} x{i} y{i}", f"one more w{i} z{i}") for i in range(COUNT)
        ),
        class_ids=np.arange(COUNT),
        image_ids=np.arange(COUNT),
    )
    rows = np.arange(COUNT)
    sample = CaptionSample(tuple(texts[0] for texts in index.captions), rows)
    codes = np.eye(COUNT)
    repeated = ImageFolder(tmp_path, 4, batch_size=4)
    levels = np.array([0, 10, 100, 160], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 3))
    repeated.render(lambda captions, seeds: images, [""] * 4, [0] * 4, "x")
    return MetricInputs(
        sample=sample,
        index=index,
        images={},
        repeated=repeated,
        seeds_per_caption=2,
        extractors={
            "stream": FakeStream([text for texts in index.captions for text in texts]),
            "damsm": FakeDamsm(sample.captions),
        },
        features={
            "generated": {
                "stream": {"feature": np.ones((COUNT, 1)), "redescription": 2 * rows},
                "damsm": {"code": codes},
            },
            # STREAM describes real images by their second caption. The codes of real
            # images are those of the next image.
            "real": {
                "stream": {
                    "feature": np.zeros((COUNT, 1)),
                    "redescription": 2 * rows + 1,
                },
                "damsm": {"code": np.roll(codes, 1, axis=0)},
            },
            "repeated": {},
        },
        compared_features=(),
        training=None,
        seed=0,
    )


def test_redescription_scores_generated_real_and_shuffled_images(inputs):
    result = METRICS["redescription"].compute(inputs)
    assert result["generated"]["perplexity"] == pytest.approx(np.e)
    assert result["real"]["perplexity"] == pytest.approx(np.e**2)
    generated, real, shuffled = (
        result[name]["own_caption"]
        for name in ("generated", "real", "generated_shuffled")
    )
    assert generated["bleu_4"] == pytest.approx(1)
    assert generated["rouge_l"] == pytest.approx(1)
    # "one more w z" shares only w with "a bird w x y", and equals the other caption.
    assert real["bleu_1"] == pytest.approx(np.exp(1 - 5 / 4) / 4)
    assert result["real"]["all_captions"]["bleu_4"] == pytest.approx(1)
    # Captions of two images share only "a bird".
    assert shuffled["bleu_1"] == pytest.approx(2 / 5, abs=0.02)
    assert shuffled["cider_d"] < generated["cider_d"] / 20


def test_redescription_scores_the_caption_of_the_nearest_training_image(inputs):
    position = np.arange(COUNT)[:, None]
    real = {"feature": 1.0 * position, "redescription": 2 * np.arange(COUNT)}
    # Training images in reverse order, their features slightly different.
    backwards = slice(None, None, -1)
    index = inputs.index
    inputs = dataclasses.replace(
        inputs,
        features=inputs.features
        | {
            "real": {"stream": real},
            "training": {"stream": {"feature": position[backwards] + 0.3}},
        },
        training=dataclasses.replace(index, captions=index.captions[backwards]),
    )
    result = METRICS["redescription"].compute(inputs)
    assert result["neighbour"]["own_caption"]["bleu_4"] == pytest.approx(1)
    assert "perplexity" not in result["neighbour"]
    assert result["real_shuffled"]["own_caption"]["bleu_1"] == pytest.approx(
        2 / 5, abs=0.02
    )


def test_r_precision_of_generated_real_and_shuffled_images(inputs):
    result = METRICS["r_precision"].compute(inputs)
    assert result["generated"]["k=1"] == {"mean": 1, "std": 0}
    assert result["real"]["k=3"]["mean"] == 0
    assert result["real_shuffled"]["k=3"]["mean"] < 0.1


def test_diversity_within_and_between_captions(inputs):
    distances = METRICS["diversity"].compute(inputs)["pixel_rmse"]
    assert distances["within"] == pytest.approx((10 + 60) / 2)
    assert distances["between"] == pytest.approx(100)


def test_feature_metrics_compare_each_reference_set_with_real_images(inputs):
    rng = np.random.default_rng(0)

    def features(shift):
        return {
            "features": rng.standard_normal((COUNT, 4)) + shift,
            "probs": rng.dirichlet(np.ones(4), COUNT),
        }

    sets = {"real": 0, "generated": 2, "other_real": 0, "blurred_real": 1}
    inputs = dataclasses.replace(
        inputs,
        features={name: {"inception": features(shift)} for name, shift in sets.items()},
        compared_features=("inception",),
    )
    fids = METRICS["fid"].compute(inputs)["inception"]
    assert fids["generated"] == pytest.approx(16, rel=0.3)
    assert fids["blurred_real"] == pytest.approx(4, rel=0.4)
    assert fids["other_real"] < 0.5
    kids = METRICS["kid"].compute(inputs)["inception"]
    assert abs(kids["other_real"]["mean"]) < 4 * kids["other_real"]["std"]
    assert kids["generated"]["mean"] > 1
    shares = METRICS["precision_recall"].compute(inputs)["inception"]
    assert shares["other_real"]["precision"] > 0.8 > shares["generated"]["precision"]
    scores = METRICS["inception_score"].compute(inputs)
    assert scores.keys() == sets.keys() and scores["real"]["mean"] > 1


def test_metrics_without_enough_images_or_classes_are_not_computed(inputs):
    one = {"inception": {"features": np.ones((1, 4))}}
    inputs = dataclasses.replace(
        inputs,
        features={"generated": one, "real": one},
        compared_features=("inception",),
    )
    for name in ("fid", "kid", "precision_recall"):
        with pytest.raises(NotComputed, match="1 real images; it needs at least"):
            METRICS[name].compute(inputs)
    with pytest.raises(NotComputed, match="top layer"):
        METRICS["inception_score"].compute(inputs)


def test_pixel_metrics_compare_generated_and_blurred_images(inputs, monkeypatch):
    def classify(real, others, *, seed):
        return TwoSampleTest(float(abs(real.mean() - others.mean()) > 9), (0, 1), 60)

    monkeypatch.setattr(image_metrics, "two_sample_test", classify)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (60, 64, 64, 3), np.uint8) for _ in range(3)]
    other = image_set("other", noise[1])
    images = {
        "real": image_set("real", noise[0]),
        "generated": image_set("images", noise[2] // 4),
        "other_real": other,
        "blurred_real": blurred(other),
    }
    inputs = dataclasses.replace(inputs, images=images)
    tests = METRICS["two_sample_test"].compute(inputs)
    accuracies = {name: test["accuracy"] for name, test in tests.items()}
    assert accuracies == {"generated": 1, "other_real": 0, "blurred_real": 0}
    spectra = METRICS["power_spectrum"].compute(inputs)
    assert spectra["other_real"]["highest_x"] == pytest.approx(1, abs=0.2)
    assert spectra["blurred_real"]["highest_x"] < 0.1
    assert spectra["generated"]["highest_y"] == pytest.approx(1 / 16, rel=0.2)


def test_contact_sheet_shows_best_and_worst_images_by_likelihood(inputs, tmp_path):
    images = ImageFolder(tmp_path / "images", COUNT, batch_size=COUNT)
    images.render(
        lambda captions, seeds: np.zeros((COUNT, 4, 4, 3), np.uint8),
        [""] * COUNT,
        [0] * COUNT,
        "x",
    )
    # The likelihood of the captions decreases from the first to the last row.
    inputs.features["generated"]["stream"]["feature"] = 1.0 + np.arange(COUNT)[:, None]
    sheet, samples = contact_sheet(inputs, images)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert samples["best"] == list(range(8))
    assert samples["worst"] == list(range(COUNT - 1, COUNT - 9, -1))
    assert len(set(samples["random"])) == 16
    assert "STREAM" in samples["score"]
