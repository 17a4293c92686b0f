"""Metrics of images alone: how near generated images are to real ones.

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

# With fewer images, FID depends more on their number than on what they show.
_MIN_IMAGES_FOR_FID = 10_000
# Images of a set whose neighbourhoods are compared, at most.
_MAX_NEIGHBOURS = 10_000
# Images of a set that are held in memory for tests on pixels, at most.
_MAX_PIXEL_IMAGES = 1_000


def _compare(inputs, minimum, compare):
    """`compare(real, others)` by feature extractor and image set."""
    result = {}
    for name in inputs.compared_features:
        real = inputs.features["real"][name]["features"]
        require(len(real), minimum, "real images")
        result[name] = {}
        for images in COMPARED_SETS:
            if images in inputs.features:
                others = inputs.features[images][name]["features"]
                require(len(others), minimum, COMPARED_SETS[images])
                result[name][images] = compare(real, others)
    return result


def _fid(inputs: MetricInputs) -> dict:
    return _compare(inputs, 2, fid)


def _kid(inputs):
    def compare(real, others):
        mean, std = kid(real, others, seed=inputs.seed)
        return {"mean": mean, "std": std}

    return _compare(inputs, 4, compare)


def _precision_recall(inputs):
    def compare(real, others):
        real, others = (_subset(rows, inputs.seed) for rows in (real, others))
        precision, recall = precision_and_recall(real, others, k=3)
        density, coverage = density_and_coverage(real, others, k=5)
        return {
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
        }

    return _compare(inputs, 6, compare)


def _subset(rows, seed):
    """Rows whose distances to each other can be computed in minutes."""
    if len(rows) <= _MAX_NEIGHBOURS:
        return rows
    rng = np.random.default_rng(seed)
    return rows[rng.choice(len(rows), _MAX_NEIGHBOURS, replace=False)]


def _inception_score(inputs):
    scores = {}
    for images in ("real", *COMPARED_SETS):
        features = inputs.features.get(images, {}).get("inception", {})
        if "probs" not in features:
            raise NotComputed(
                "it needs Inception with its top layer (--features=inception, "
                "--inception_weights)"
            )
        require(len(features["probs"]), 20, f"{COMPARED_SETS.get(images, images)}")
        mean, std = inception_score(features["probs"], seed=inputs.seed)
        scores[images] = {"mean": mean, "std": std}
    return scores


def _two_sample_test(inputs):
    real = inputs.images["real"].first(_MAX_PIXEL_IMAGES)
    result = {}
    for name in COMPARED_SETS:
        if name in inputs.images:
            others = inputs.images[name].first(_MAX_PIXEL_IMAGES)
            require(min(len(real), len(others)), 20, COMPARED_SETS[name])
            test = two_sample_test(real, others, seed=inputs.seed)
            result[name] = dataclasses.asdict(test)
    return result


def _power_spectrum(inputs):
    def spectrum(name):
        return mean_power_spectrum(inputs.images[name].first(_MAX_PIXEL_IMAGES))

    real = spectrum("real")
    return {
        name: compare_spectra(spectrum(name), real)
        for name in COMPARED_SETS
        if name in inputs.images
    }


def _diversity(inputs):
    images, each = inputs.repeated, inputs.seeds_per_caption
    require(each, 2, "seeds a caption (--diversity_seeds)")
    captions = len(images) // each
    require(captions, 2, "captions (--diversity_captions)")
    within = [
        mean_pixel_rmse(images.read(range(start, start + each)))
        for start in range(0, len(images), each)
    ]
    result = {
        "captions": captions,
        "seeds": each,
        "pixel_rmse": {
            "within": float(np.mean(within)),
            "between": mean_pixel_rmse(images.read(range(0, len(images), each))),
        },
    }
    arrays = dict.fromkeys(inputs.compared_features, "features") | {"damsm": "code"}
    for name, array in arrays.items():
        features = inputs.features["repeated"].get(name)
        if features is None:
            continue
        rows = features[array].reshape(captions, each, -1)
        result[f"{name}_cosine_distance"] = {
            "within": float(np.mean([mean_cosine_distance(row) for row in rows])),
            "between": mean_cosine_distance(rows[:, 0]),
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
