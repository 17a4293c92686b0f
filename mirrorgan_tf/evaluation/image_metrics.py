"""Metrics that compare generated images with real ones, for reports.

Each is computed for the generated images and, as references, for other real images and
for blurred real images.
"""

import dataclasses

import numpy as np

from mirrorgan_tf.evaluation.diversity import mean_cosine_distance, mean_pixel_rmse
from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.evaluation.inception_score import inception_score
from mirrorgan_tf.evaluation.kid import kid
from mirrorgan_tf.evaluation.metric import (
    COMPARED_SETS,
    Metric,
    MetricInputs,
    NotComputed,
    require,
)
from mirrorgan_tf.evaluation.power_spectrum import compare_spectra, mean_power_spectrum
from mirrorgan_tf.evaluation.precision_recall import (
    density_and_coverage,
    precision_and_recall,
)
from mirrorgan_tf.evaluation.two_sample_test import two_sample_test

__all__ = ["IMAGE_METRICS"]

# The most images of a set whose features are compared with all others: the time grows
# with the square of their number.
_MAX_NEIGHBOURS = 10_000
# The most images of a set that are held in memory, for metrics of pixels.
_MAX_PIXEL_IMAGES = 1_000


def _compare(inputs: MetricInputs, minimum: int, compare) -> dict:
    """Feature extractor -> image set -> `compare(features of real images, of the set)`.

    Each set needs at least `minimum` images.
    """
    result = {}
    for extractor in inputs.compared_features:
        real = inputs.features["real"][extractor]["features"]
        require(len(real), minimum, "real images")
        result[extractor] = {}
        for name, title in COMPARED_SETS.items():
            others = inputs.features[name][extractor]["features"]
            require(len(others), minimum, title)
            result[extractor][name] = compare(real, others)
    return result


def _fid(inputs):
    return _compare(inputs, 2, fid)


def _kid(inputs):
    def compare(real, others):
        mean, std = kid(real, others, seed=inputs.seed)
        return {"mean": mean, "std": std}

    return _compare(inputs, 4, compare)


def _precision_recall(inputs):
    def subset(features):
        if len(features) <= _MAX_NEIGHBOURS:
            return features
        rng = np.random.default_rng(inputs.seed)
        return features[rng.choice(len(features), _MAX_NEIGHBOURS, replace=False)]

    def compare(real, others):
        real, others = subset(real), subset(others)
        precision, recall = precision_and_recall(real, others, k=3)
        density, coverage = density_and_coverage(real, others, k=5)
        return {
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
        }

    return _compare(inputs, 6, compare)


def _inception_score(inputs):
    scores = {}
    for name, title in {"real": "real images", **COMPARED_SETS}.items():
        probs = inputs.features[name]["inception"].get("probs")
        if probs is None:
            raise NotComputed(
                "it needs Inception with its top layer (--inception_weights)"
            )
        require(len(probs), 20, title)
        mean, std = inception_score(probs, seed=inputs.seed)
        scores[name] = {"mean": mean, "std": std}
    return scores


def _two_sample_test(inputs):
    real = inputs.images["real"].first(_MAX_PIXEL_IMAGES)
    result = {}
    for name, title in COMPARED_SETS.items():
        others = inputs.images[name].first(_MAX_PIXEL_IMAGES)
        require(min(len(real), len(others)), 20, title)
        test = two_sample_test(real, others, seed=inputs.seed)
        result[name] = dataclasses.asdict(test)
    return result


def _power_spectrum(inputs):
    def spectrum(name):
        return mean_power_spectrum(inputs.images[name].first(_MAX_PIXEL_IMAGES))

    real = spectrum("real")
    return {name: compare_spectra(spectrum(name), real) for name in COMPARED_SETS}


def _diversity(inputs):
    images, seeds = inputs.repeated, inputs.seeds_per_caption
    captions = len(images) // seeds
    require(captions, 2, "captions")
    within = [
        mean_pixel_rmse(images.read(range(start, start + seeds)))
        for start in range(0, len(images), seeds)
    ]
    result = {
        "captions": captions,
        "seeds": seeds,
        "pixel_rmse": {
            "within": float(np.mean(within)),
            "between": mean_pixel_rmse(images.read(range(0, len(images), seeds))),
        },
    }
    array_names = dict.fromkeys(inputs.compared_features, "features")
    for extractor, array_name in {**array_names, "damsm": "code"}.items():
        if extractor not in inputs.features["repeated"]:
            continue
        array = inputs.features["repeated"][extractor][array_name]
        by_caption = array.reshape(captions, seeds, -1)
        within = [mean_cosine_distance(features) for features in by_caption]
        result[f"{extractor}_cosine_distance"] = {
            "within": float(np.mean(within)),
            "between": mean_cosine_distance(by_caption[:, 0]),
        }
    return result


IMAGE_METRICS = {
    "two_sample_test": Metric(_two_sample_test),
    "power_spectrum": Metric(_power_spectrum),
    "fid": Metric(_fid, compares_features=True),
    "kid": Metric(_kid, compares_features=True),
    "precision_recall": Metric(_precision_recall, compares_features=True),
    "inception_score": Metric(_inception_score, needs=("inception",)),
    "diversity": Metric(_diversity, uses=("damsm",)),
}
