"""Generates images from captions, extracts features and computes metrics."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.caption_metrics import CAPTION_METRICS
from mirrorgan_tf.evaluation.contact_sheet import contact_sheet
from mirrorgan_tf.evaluation.features import FeatureExtractor, extract_features
from mirrorgan_tf.evaluation.image_folder import ImageFolder, check_settings
from mirrorgan_tf.evaluation.image_metrics import IMAGE_METRICS
from mirrorgan_tf.evaluation.image_sets import blurred, real_images
from mirrorgan_tf.evaluation.image_source import ImageSource
from mirrorgan_tf.evaluation.metric import Metric, MetricInputs, NotComputed
from mirrorgan_tf.evaluation.sampling import choose_images, choose_real, sample_captions

__all__ = ["METRICS", "Evaluation", "EvaluationPlan"]

# Metrics that are computed for every data set.
METRICS = IMAGE_METRICS | CAPTION_METRICS


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """Settings of an evaluation.

    Attributes:
        folder: where images, features and settings are saved; an interrupted
            evaluation with the same settings is resumed from there.
        source: generates the images.
        splits: the data set, "train" and "val".
        extractors: name -> function that opens a feature extractor, or raises
            UserError to say why it can't be opened.
        compared_features: names of the extractors whose features FID, KID, precision
            and recall compare.
        captions: the most captions to generate images from.
        metrics: name -> metric, all that exist for the data set.
        required: names of metrics that must be computed; None: compute all that can
            be.
        repeated: number of captions that get images of several seeds, and number of
            these seeds.
        batch_size: images that are generated together.
        training_images: the most training images among which the one nearest to a real
            image is searched; 0: no search.
        seed: determines all random choices and the noise.
    """

    folder: Path
    source: ImageSource
    splits: Mapping[str, CaptionedImages]
    extractors: Mapping[str, Callable[[], FeatureExtractor]]
    compared_features: tuple[str, ...]
    captions: int
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=lambda: METRICS)
    required: Sequence[str] | None = None
    repeated: tuple[int, int] = (20, 5)
    batch_size: int = 16
    training_images: int = 10_000
    seed: int = 1


class Evaluation:
    """Evaluates a model as an `EvaluationPlan` describes.

    Attributes:
        plan: the settings.
        index: the real images that generated images are compared with.
        sample: the captions; `rows` are rows of `index`.
        extractors: name -> feature extractor, those that could be opened.
        compared_features: those of the plan that could be opened.
        not_computed: name -> reason, for metrics without a value.
    """

    def __init__(self, plan: EvaluationPlan):
        """Chooses captions and real images and opens the feature extractors.

        Raises:
            UserError: a required metric can't be computed, or the folder belongs to
                another evaluation.
        """
        self.plan = plan
        sample = sample_captions(plan.splits["val"], plan.captions, seed=plan.seed)
        real = choose_real(plan.splits["val"], sample, seed=plan.seed)
        self.index = plan.splits["val"].select(real)
        self.sample = dataclasses.replace(
            sample, rows=np.searchsorted(real, sample.rows)
        )
        self._other_real = self._choose_other_real(real)
        self.not_computed: dict[str, str] = {}
        check_settings(plan.folder, self._settings())
        self.extractors = self._open_extractors()
        self.compared_features = tuple(
            name for name in plan.compared_features if name in self.extractors
        )

    def run(self) -> tuple[dict, np.ndarray]:
        """Renders images, extracts features and computes metrics.

        Returns:
            The report, a dictionary of JSON values, and the contact sheet,
            (H, W, 3) uint8.
        """
        generated = self._render("images", self.sample.captions, 1)
        inputs = self._inputs(generated)
        metrics = self._compute(inputs)
        sheet, samples = contact_sheet(inputs, generated)
        report = self._settings() | {
            "real_images": len(self.index),
            "other_real_images": len(self._other_real[1]),
            "other_real_split": self._other_real[0],
            "about": {
                name: self.extractors[name].about for name in self.compared_features
            },
            "metrics": metrics,
            "not_computed": self.not_computed,
            "samples": samples,
        }
        return report, sheet

    def raise_if_missing(self) -> None:
        """Raises UserError if a required metric has no value."""
        for name, reason in self.not_computed.items():
            if self.plan.required and name in self.plan.required:
                raise UserError(f"--metrics={name}: not computed: {reason}")

    @property
    def _metrics(self):
        """The metrics to compute, by name."""
        names = self.plan.required or self.plan.metrics
        return {name: self.plan.metrics[name] for name in names}

    def _choose_other_real(self, real):
        """Split and images: of "val" if it has enough that are not in `real`."""
        split, index = "val", self.plan.splits["val"]
        others = np.setdiff1d(np.arange(len(index)), real)
        if len(others) >= len(real):
            index = index.select(others)
        else:
            split, index = "train", self.plan.splits["train"]
        return split, choose_images(index, len(real), seed=self.plan.seed)

    def _open_extractors(self):
        """Opens what the metrics need, and notes which of them can't be computed."""
        compared = self.plan.compared_features
        opened, reasons = {}, {}
        for metric in self._metrics.values():
            names = metric.needs + metric.uses
            for name in names + compared if metric.compares_features else names:
                if name in opened or name in reasons:
                    continue
                try:
                    opened[name] = self.plan.extractors[name]()
                except UserError as error:
                    reasons[name] = str(error)
        for name, metric in self._metrics.items():
            missing = [reasons[need] for need in metric.needs if need in reasons]
            if metric.compares_features and not opened.keys() & set(compared):
                missing = [reasons[feature] for feature in compared]
                missing = missing or ["it compares features, and --features names none"]
            if missing:
                self.not_computed[name] = "; ".join(missing)
        self.raise_if_missing()
        for name in compared:
            if name in reasons:
                self.not_computed[f"features of {name}"] = reasons[name]
        for name, reason in self.not_computed.items():
            logging.info("%s: not computed: %s", name, reason)
        return opened

    def _settings(self):
        """JSON values that the generated images depend on."""
        plan = self.plan
        text = json.dumps([self.sample.captions, self.index.image_ids.tolist()])
        return {
            "source": plan.source.facts,
            "captions": len(self.sample),
            "captions_and_images": hashlib.sha256(text.encode()).hexdigest()[:16],
            "batch_size": plan.batch_size,
            "seed": plan.seed,
        }

    def _inputs(self, generated):
        """Generates and reads all other images and extracts their features."""
        plan, size_px = self.plan, self.plan.source.size_px
        captions, seeds = plan.repeated
        chosen = np.random.default_rng(plan.seed).permutation(len(self.sample))
        repeated = self._render(
            f"repeated-{captions}x{seeds}",
            [self.sample.captions[row] for row in chosen[:captions]],
            seeds,
        )
        other_real = real_images(
            _set_name("other_real", self._other_real[1]), self._other_real[1], size_px
        )
        sets = {
            "generated": generated.as_image_set(),
            "real": real_images("real", self.index, size_px),
            "other_real": other_real,
            "blurred_real": blurred(other_real),
        }
        compared = self._extractors_of({*self.compared_features, "inception"})
        with_damsm = compared | self._extractors_of({"damsm"})
        features = {
            "generated": self._extract(sets["generated"], self.extractors),
            "real": self._extract(sets["real"], self.extractors),
            "other_real": self._extract(sets["other_real"], compared),
            "blurred_real": self._extract(sets["blurred_real"], compared),
            "repeated": self._extract(repeated.as_image_set(), with_damsm),
        }
        training = None
        if plan.training_images and "stream" in self.extractors:
            training = choose_images(
                plan.splits["train"], plan.training_images, seed=plan.seed
            )
            features["training"] = self._extract(
                real_images(_set_name("training", training), training, size_px),
                self._extractors_of({"stream"}),
            )
        return MetricInputs(
            sample=self.sample,
            index=self.index,
            images=sets,
            repeated=repeated,
            seeds_per_caption=seeds,
            extractors=self.extractors,
            features=features,
            compared_features=self.compared_features,
            training=training,
            seed=plan.seed,
        )

    def _render(self, name, captions, seeds_per_caption):
        plan = self.plan
        count = len(captions) * seeds_per_caption
        folder = ImageFolder(plan.folder / name, count, batch_size=plan.batch_size)
        # The seeds of two images of an evaluation always differ.
        first = plan.seed * 2**24 + (0 if name == "images" else 2**23)
        folder.render(
            plan.source.generate,
            [caption for caption in captions for _ in range(seeds_per_caption)],
            range(first, first + count),
            f"rendering {name}",
        )
        return folder

    def _extractors_of(self, names):
        """The opened extractors of these names, in the order of their opening."""
        return {
            name: extractor
            for name, extractor in self.extractors.items()
            if name in names
        }

    def _extract(self, images, extractors):
        return extract_features(
            self.plan.folder / "features" / images.name,
            extractors,
            images.batches,
            images.count,
            f"features of {images.name}",
        )

    def _compute(self, inputs):
        computed = {}
        for name, metric in self._metrics.items():
            if name in self.not_computed:
                continue
            logging.info("computing %s", name)
            try:
                result = metric.compute(inputs)
                # Reports are strict JSON, which has no NaN.
                json.dumps(result, allow_nan=False)
                computed[name] = result
            except (NotComputed, UserError, ValueError) as reason:
                self.not_computed[name] = str(reason)
        return computed


def _set_name(name, index):
    """A folder name for features that depends on which images the set has."""
    return f"{name}-{hashlib.sha256(index.image_ids).hexdigest()[:12]}"
