"""From what judges saw to a report's numbers: one function a metric.

Each takes `Seen` and gives a dictionary of JSON values; NotComputed says why it can't.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mirrorgan_tf.birdlets.caption_attributes import (
    Truth,
    check_statements,
    judge,
    shown,
)
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.bleu import bleu
from mirrorgan_tf.evaluation.cider import cider_d
from mirrorgan_tf.evaluation.diversity import mean_cosine_distance, mean_pixel_rmse
from mirrorgan_tf.evaluation.features import Judge
from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.evaluation.inception_score import inception_score
from mirrorgan_tf.evaluation.kid import kid
from mirrorgan_tf.evaluation.neighbours import nearest
from mirrorgan_tf.evaluation.perplexity import perplexity
from mirrorgan_tf.evaluation.precision_recall import (
    density_and_coverage,
    precision_and_recall,
)
from mirrorgan_tf.evaluation.r_precision import draw_mismatches, r_precision
from mirrorgan_tf.evaluation.rendering import ImageFolder
from mirrorgan_tf.evaluation.rouge import rouge_l
from mirrorgan_tf.evaluation.sampling import CaptionSample
from mirrorgan_tf.text.splitting import split_words

__all__ = ["METRICS", "Metric", "NotComputed", "Seen"]

# Fewer images than this, and FID says more of their number than of them.
_ENOUGH_FOR_FID = 10_000
# Images of a set whose neighbourhoods are compared, at most.
_MOST_NEIGHBOURS = 10_000


class NotComputed(Exception):
    """Why a metric has no value here."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that metrics are computed from.

    Attributes:
        sample: N captions; `rows` are rows of `index`.
        index: M real images.
        judges: those that could be opened, by name.
        generated: judge's name -> its arrays (N, ...) by name.
        real: the same of the real images, (M, ...).
        varied: images of some captions with several seeds each, caption by
            caption.
        varied_seen: as `generated`, of these.
        seeds: of a caption in `varied`.
        features: name of the judge whose features count.
        truth: of the sample's captions and the real images, where the data set tells.
        seed: of all that is drawn.
        neighbours: T training images; None: no nearest one is looked for.
        neighbours_seen: as `generated`, of these.
    """

    sample: CaptionSample
    index: CaptionedImages
    judges: dict[str, Judge]
    generated: dict[str, dict[str, np.ndarray]]
    real: dict[str, dict[str, np.ndarray]]
    varied: ImageFolder
    varied_seen: dict[str, dict[str, np.ndarray]]
    seeds: int
    features: str
    truth: Truth | None
    seed: int
    neighbours: CaptionedImages | None = None
    neighbours_seen: dict[str, dict[str, np.ndarray]] | None = None


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        compute: see above.
        needs: names of judges; "features" is the one of `Seen.features`.
        uses: judges that add to it where they are there.
    """

    compute: Callable[[Seen], dict]
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ()


def _inception_score(seen):
    seen_by = seen.generated[seen.features], seen.real[seen.features]
    if "probs" not in seen_by[0]:
        raise NotComputed("it needs Inception with its top layer (--inception_weights)")
    _need(len(seen.sample), 20, "generated images")
    mean, std = inception_score(seen_by[0]["probs"], seed=seen.seed)
    result = {"mean": mean, "std": std, "splits": 10}
    if len(seen.index) >= 20:
        result["real_mean"], result["real_std"] = inception_score(
            seen_by[1]["probs"], seed=seen.seed
        )
    return result


def _fid(seen):
    real, generated = _features(seen, 2)
    result = {"value": fid(real, generated)}
    if min(len(real), len(generated)) < _ENOUGH_FOR_FID:
        result["note"] = (
            f"of {len(real)} real and {len(generated)} generated images: too high for "
            f"want of images (the field takes {_ENOUGH_FOR_FID:,} to 50,000); compare "
            "equal numbers only"
        )
    return result


def _kid(seen):
    real, generated = _features(seen, 4)
    mean, std = kid(real, generated, seed=seen.seed)
    return {"mean": mean, "std": std}


def _precision_recall(seen):
    real, generated = (_some(features, seen.seed) for features in _features(seen, 6))
    precision, recall = precision_and_recall(real, generated, k=3)
    density, coverage = density_and_coverage(real, generated, k=5)
    return {
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }


def _r_precision(seen):
    sample, judge = seen.sample, seen.judges["damsm"]
    _need(len(sample), 10, "captions")
    try:
        mismatches = draw_mismatches(
            seen.index.class_ids[sample.rows], sample.captions, seed=seen.seed
        )
    except ValueError as error:
        raise NotComputed(f"{error}; raise --evaluate_captions") from None
    sentences = judge.embed(sample.captions)
    sets = {
        "generated": seen.generated["damsm"]["code"],
        "real": seen.real["damsm"]["code"][sample.rows],
    }
    return {
        name: {
            f"k={k}": {"mean": mean, "std": std}
            for k, (mean, std) in r_precision(
                codes, sentences, mismatches, seed=seen.seed
            ).items()
        }
        for name, codes in sets.items()
    }


def _redescription(seen):
    sample, judge = seen.sample, seen.judges["stream"]
    own = [[words] for words in _words(sample.captions)]
    words = iter(_words([text for texts in seen.index.captions for text in texts]))
    by_image = [[next(words) for _ in texts] for texts in seen.index.captions]
    all_of_image = [by_image[row] for row in sample.rows]
    # Of real images all is known, of drawn ones what they were asked to show.
    known = stated = None
    if seen.truth is not None:
        of_real = shown(seen.truth.codes)
        known = [of_real[row] for row in sample.rows]
        stated = [claim.states for claim in seen.truth.claims]

    def scores(texts, truths):
        said = [words.split() for words in texts]
        found = {
            "own_caption": _caption_scores(said, own, by_image),
            "all_captions": _caption_scores(said, all_of_image, by_image),
        }
        if truths is not None:
            found["statements"] = check_statements(texts, truths)
        return found

    def of_images(arrays, truths):
        logs, counts = judge.likelihood(arrays["feature"], sample.captions)
        return {"perplexity": perplexity(logs, counts)} | scores(
            judge.texts(arrays["said"]), truths
        )

    real = {name: of[sample.rows] for name, of in seen.real["stream"].items()}
    generated = seen.generated["stream"]
    order = np.random.default_rng(seen.seed).permutation(len(sample))
    result = {
        "real": of_images(real, known),
        "real_shuffled": of_images(_ordered(real, order), known),
        "generated": of_images(generated, stated),
        "shuffled": of_images(_ordered(generated, order), stated),
    }
    if seen.neighbours is not None:
        features = seen.neighbours_seen["stream"]["feature"]
        rows = nearest(real["feature"], features)
        captions = _words([seen.neighbours.captions[row][0] for row in rows])
        texts = [" ".join(words) for words in captions]
        result["neighbour"] = scores(texts, known)
    return result


def _diversity(seen):
    images, each = seen.varied, seen.seeds
    _need(each, 2, "seeds a caption (--diversity_seeds)")
    captions = len(images) // each
    _need(captions, 1, "captions (--diversity_captions)")
    within = [
        mean_pixel_rmse(images.read(range(start, start + each)))
        for start in range(0, len(images), each)
    ]
    result = {
        "captions": captions,
        "seeds": each,
        "pixel_rmse": {"within": float(np.mean(within))},
    }
    if captions > 1:
        firsts = images.read(range(0, len(images), each))
        result["pixel_rmse"]["between"] = mean_pixel_rmse(firsts)
    codes = {"damsm": "code", seen.features: "features"}
    for name, array in codes.items():
        if name in seen.varied_seen:
            rows = seen.varied_seen[name][array].reshape(captions, each, -1)
            distances = {
                "within": float(np.mean([mean_cosine_distance(r) for r in rows]))
            }
            if captions > 1:
                distances["between"] = mean_cosine_distance(rows[:, 0])
            result[f"{name}_cosine_distance"] = distances
    return result


def _obedience(seen):
    if seen.truth is None:
        raise NotComputed("what captions state is known of birdlets only")
    return judge(
        seen.truth.claims,
        seen.generated["oracle"],
        seen.judges["oracle"].accuracy,
        seed=seen.seed,
    )


METRICS = {
    "inception_score": Metric(_inception_score, ("features",)),
    "fid": Metric(_fid, ("features",)),
    "kid": Metric(_kid, ("features",)),
    "precision_recall": Metric(_precision_recall, ("features",)),
    "r_precision": Metric(_r_precision, ("damsm",)),
    "redescription": Metric(_redescription, ("stream",)),
    "diversity": Metric(_diversity, (), uses=("damsm", "features")),
    "obedience": Metric(_obedience, ("oracle",)),
}


def _need(count, least, what):
    if count < least:
        raise NotComputed(f"{count} {what}; it needs at least {least}")


def _features(seen, least):
    sets = [of[seen.features]["features"] for of in (seen.real, seen.generated)]
    for features, name in zip(sets, ("real", "generated"), strict=True):
        _need(len(features), least, f"{name} images")
    return sets


def _some(rows, seed):
    """All rows, or as many at random as can be compared with each other in minutes."""
    if len(rows) <= _MOST_NEIGHBOURS:
        return rows
    rng = np.random.default_rng(seed)
    return rows[rng.choice(len(rows), _MOST_NEIGHBOURS, replace=False)]


def _ordered(arrays, order):
    return {name: of[order] for name, of in arrays.items()}


def _words(captions):
    return [
        [word.decode() for word in words] for words in split_words(captions).to_list()
    ]


def _caption_scores(said, references, documents):
    scores = bleu(said, references)
    return {f"bleu_{n}": score for n, score in enumerate(scores, 1)} | {
        "rouge_l": rouge_l(said, references),
        "cider_d": cider_d(said, references, documents),
    }
