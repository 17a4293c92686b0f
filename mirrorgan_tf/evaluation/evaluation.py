"""An evaluation: captions to images, images to features, features to metrics."""

import dataclasses
import functools
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
from mirrorgan_tf.evaluation.image_sets import ImageSet, blurred, real_images
from mirrorgan_tf.evaluation.image_source import ImageSource
from mirrorgan_tf.evaluation.metric import Metric, MetricInputs, NotComputed
from mirrorgan_tf.evaluation.sampling import choose_images, choose_real, sample_captions

__all__ = ["METRICS", "Evaluation", "EvaluationPlan"]

# Metrics of every data set.
METRICS = IMAGE_METRICS | CAPTION_METRICS


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """What is evaluated, and how.

    Attributes:
        folder: of the evaluation; an interrupted one with the same settings resumes.
        source: the model.
        splits: the data set, "train" and "val".
        extractors: name -> opens a feature extractor, or raises UserError to say why
            it can't.
        compared_features: extractors whose features FID, KID, precision and recall
            compare.
        metrics: all metrics that the data set has, by name.
        required: metrics that must be computed; None: all that can be.
        captions: to render, at most.
        repeated: captions that are rendered with several seeds, and the number of
            seeds.
        batch_size: captions that are rendered together.
        training_images: in which the nearest to a real image is searched, at most; 0:
            none.
        seed: fixes all random choices and the noise.
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
    """Carries out a plan."""

    def __init__(self, plan: EvaluationPlan):
        """Chooses captions and real images, and opens the feature extractors.

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
        """UserError if a required metric has no value."""
        for name, reason in self.not_computed.items():
            if self.plan.required and name in self.plan.required:
                raise UserError(f"--metrics={name}: not computed: {reason}")

    @property
    def _metrics(self):
        """The metrics to compute, by name."""
        names = self.plan.required or self.plan.metrics
        return {name: self.plan.metrics[name] for name in names}

    def _choose_other_real(self, real):
        """Other validation images if there are enough, else training images."""
        split, index = "val", self.plan.splits["val"]
        rest = np.setdiff1d(np.arange(len(index)), real)
        if len(rest) >= len(real):
            index = index.select(rest)
        else:
            split, index = "train", self.plan.splits["train"]
        return split, choose_images(index, len(real), seed=self.plan.seed)

    def _open_extractors(self):
        opened, reasons = {}, {}
        for metric in self._metrics.values():
            compared = self.plan.compared_features if metric.compares_features else ()
            for name in (*metric.needs, *metric.uses, *compared):
                if name in opened or name in reasons:
                    continue
                try:
                    opened[name] = self.plan.extractors[name]()
                except UserError as error:
                    reasons[name] = str(error)
        for name, metric in self._metrics.items():
            missing = [need for need in metric.needs if need in reasons]
            if metric.compares_features and not opened.keys() & set(
                self.plan.compared_features
            ):
                missing = list(self.plan.compared_features)
            if missing:
                self.not_computed[name] = "; ".join(reasons[need] for need in missing)
        self.raise_if_missing()
        for name in self.plan.compared_features:
            if name in reasons:
                self.not_computed[f"features of {name}"] = reasons[name]
        for name, reason in self.not_computed.items():
            logging.info("%s: not computed: %s", name, reason)
        return opened

    def _settings(self):
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
        plan, size_px = self.plan, self.plan.source.size_px
        captions, each = plan.repeated
        chosen = np.random.default_rng(plan.seed).permutation(len(self.sample))
        repeated = self._render(
            f"repeated-{captions}x{each}",
            [self.sample.captions[row] for row in chosen[:captions]],
            each,
        )
        real = functools.partial(real_images, size_px=size_px)
        other_real = real(
            _set_name("other_real", self._other_real[1]), self._other_real[1]
        )
        sets = {
            "generated": ImageSet("images", len(generated), generated.batches),
            "real": real("real", self.index),
            "other_real": other_real,
            "blurred_real": blurred(other_real),
        }
        compared = {
            name: of
            for name, of in self.extractors.items()
            if name in (*self.compared_features, "inception")
        }
        codes = {
            n: of for n, of in self.extractors.items() if n in (*compared, "damsm")
        }
        features = {
            "generated": self._extract(sets["generated"], self.extractors),
            "real": self._extract(sets["real"], self.extractors),
            "other_real": self._extract(sets["other_real"], compared),
            "blurred_real": self._extract(sets["blurred_real"], compared),
            "repeated": self._extract(
                ImageSet(repeated.folder.name, len(repeated), repeated.batches), codes
            ),
        }
        training = None
        if plan.training_images and "stream" in self.extractors:
            training = choose_images(
                plan.splits["train"], plan.training_images, seed=plan.seed
            )
            features["training"] = self._extract(
                real(_set_name("training", training), training),
                {"stream": self.extractors["stream"]},
            )
        return MetricInputs(
            sample=self.sample,
            index=self.index,
            images=sets,
            repeated=repeated,
            seeds_per_caption=each,
            extractors=self.extractors,
            features=features,
            compared_features=self.compared_features,
            training=training,
            seed=plan.seed,
        )

    def _render(self, name, captions, each):
        plan = self.plan
        folder = ImageFolder(
            plan.folder / name, len(captions) * each, batch_size=plan.batch_size
        )
        # Every image gets noise of its own.
        first = plan.seed * 2**24 + (0 if name == "images" else 2**23)
        folder.render(
            plan.source.generate,
            [caption for caption in captions for _ in range(each)],
            range(first, first + len(folder)),
            f"rendering {name}",
        )
        return folder

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
    """The features of other images get another folder."""
    return f"{name}-{hashlib.sha256(index.image_ids).hexdigest()[:12]}"
