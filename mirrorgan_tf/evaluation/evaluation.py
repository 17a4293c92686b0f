"""An evaluation: captions to images, images to judges, what they saw to numbers."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from mirrorgan_tf.birdlets.caption_attributes import JUDGED, Truth, judgeable
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.splits import take
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.contact_sheet import contact_sheet
from mirrorgan_tf.evaluation.drawing import Drawer
from mirrorgan_tf.evaluation.features import Judge, look
from mirrorgan_tf.evaluation.measures import METRICS, NotComputed, Seen
from mirrorgan_tf.evaluation.rendering import ImageFolder, claim_folder
from mirrorgan_tf.evaluation.sampling import choose_real, sample_captions

__all__ = ["Evaluation", "Plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is evaluated, and how.

    Attributes:
        folder: of the evaluation; one of the same settings is gone on with.
        drawer: the model.
        index: the split that captions and real images come from.
        read_real: an index to its images, (size, start) -> batches of
            (B, S, S, 3) uint8.
        judges: name -> what opens it, or raises UserError to say why it can't.
            Names are damsm, stream, oracle and that of `features`.
        features: the judge whose features count.
        metrics: names of `METRICS`; None is all that can be computed.
        captions: to render, at most.
        varied: captions that are drawn with several seeds, and how many seeds.
        batch_size: captions drawn together.
        seed: of choice, noise and all else.
        truth: of all captions and images of the split, in their order, where the
            data set tells: then only captions that state the body's colour are drawn.
        neighbours: training images; STREAM's captions of real ones are compared with
            that of the nearest of these. None: they aren't.
    """

    folder: Path
    drawer: Drawer
    index: CaptionedImages
    read_real: Callable[[CaptionedImages], Callable[[int, int], Iterable[np.ndarray]]]
    judges: dict[str, Callable[[], Judge]]
    features: str
    metrics: Sequence[str] | None
    captions: int
    varied: tuple[int, int]
    batch_size: int
    seed: int
    truth: Truth | None = None
    neighbours: CaptionedImages | None = None


class Evaluation:
    """Runs a plan; an interrupted one goes on where it was."""

    def __init__(self, plan: Plan):
        """Draws the captions and opens the judges.

        Raises:
            UserError: a metric that was asked for by name can't be computed, or the
                folder belongs to another evaluation.
        """
        self.plan = plan
        eligible = None if plan.truth is None else judgeable(plan.truth.claims)
        sample = sample_captions(
            plan.index, plan.captions, seed=plan.seed, eligible=eligible
        )
        if not len(sample):
            raise UserError(f"no validation caption states {JUDGED}")
        real = choose_real(plan.index, sample, seed=plan.seed)
        self.index = take(plan.index, real)
        self.sample = dataclasses.replace(
            sample, rows=np.searchsorted(real, sample.rows)
        )
        self._truth = _part_of(plan, sample, real)
        self.not_computed: dict[str, str] = {}
        claim_folder(plan.folder, self._settings())
        self.judges = self._open_judges()

    def run(self) -> tuple[dict, np.ndarray]:
        """Draws, looks, computes.

        Returns:
            The report, a dictionary of JSON values, and the contact sheet,
            (H, W, 3) uint8.
        """
        plan = self.plan
        images = self._rendered("images", self.sample.captions, 1)
        some, each = plan.varied
        chosen = np.random.default_rng(plan.seed).permutation(len(self.sample))[:some]
        varied = self._rendered(
            f"varied-{some}x{each}", [self.sample.captions[row] for row in chosen], each
        )
        of_codes = {
            name: judge
            for name, judge in self.judges.items()
            if name in ("damsm", plan.features)
        }
        read_real = plan.read_real(self.index)
        seen = Seen(
            sample=self.sample,
            index=self.index,
            judges=self.judges,
            generated=self._look("images", self.judges, images.batches, len(images)),
            real=self._look("real", self.judges, read_real, len(self.index)),
            varied=varied,
            varied_seen=self._look(
                varied.folder.name, of_codes, varied.batches, len(varied)
            ),
            seeds=each,
            features=plan.features,
            truth=self._truth,
            seed=plan.seed,
            **self._look_at_neighbours(),
        )
        computed = self._compute(seen)
        sheet, samples = contact_sheet(seen, images)
        report = self._settings() | {
            "real_images": len(self.index),
            "about": self._about(),
            "metrics": computed,
            "not_computed": self.not_computed,
            "samples": samples,
        }
        return report, sheet

    def raise_if_missing(self) -> None:
        """UserError if a metric that was asked for by name has no value."""
        for name, reason in self.not_computed.items():
            if self.plan.metrics and name in self.plan.metrics:
                raise UserError(f"--metrics={name}: not computed: {reason}")

    def _open_judges(self):
        plan, opened, reasons = self.plan, {}, {}
        for metric in plan.metrics or METRICS:
            for need in METRICS[metric].needs + METRICS[metric].uses:
                name = plan.features if need == "features" else need
                if name in opened or name in reasons:
                    continue
                try:
                    opened[name] = plan.judges[name]()
                except UserError as error:
                    reasons[name] = str(error)
            for need in METRICS[metric].needs:
                name = plan.features if need == "features" else need
                if name in reasons:
                    self.not_computed[metric] = reasons[name]
        self.raise_if_missing()
        for metric, reason in self.not_computed.items():
            logging.info("%s: not computed: %s", metric, reason)
        return opened

    def _settings(self):
        plan = self.plan
        texts = json.dumps([self.sample.captions, self.index.image_ids.tolist()])
        return {
            "source": plan.drawer.facts,
            "captions": len(self.sample),
            "captions_and_images": hashlib.sha256(texts.encode()).hexdigest()[:16],
            "batch_size": plan.batch_size,
            "seed": plan.seed,
        }

    def _rendered(self, name, captions, each):
        plan = self.plan
        folder = ImageFolder(
            plan.folder / name, len(captions) * each, batch_size=plan.batch_size
        )
        # Every image has noise of its own.
        first = plan.seed * 2**24 + (0 if name == "images" else 2**23)
        folder.render(
            plan.drawer.draw,
            [caption for caption in captions for _ in range(each)],
            [first + place for place in range(len(folder))],
            f"rendering {name}",
        )
        return folder

    def _look(self, name, judges, batches, count):
        folder = self.plan.folder / "looks" / name
        return look(folder, judges, batches, count, f"judging {name}")

    def _look_at_neighbours(self):
        index = self.plan.neighbours
        if index is None or "stream" not in self.judges:
            return {}
        stream = {"stream": self.judges["stream"]}
        name = f"training-{hashlib.sha256(index.image_ids).hexdigest()[:12]}"
        seen = self._look(name, stream, self.plan.read_real(index), len(index))
        return {"neighbours": index, "neighbours_seen": seen}

    def _compute(self, seen):
        computed = {}
        for name in self.plan.metrics or METRICS:
            if name in self.not_computed:
                continue
            logging.info("computing %s", name)
            try:
                result = METRICS[name].compute(seen)
                # Strict JSON, and no number that is none.
                json.dumps(result, allow_nan=False)
                computed[name] = result
            except NotComputed as reason:
                self.not_computed[name] = str(reason)
            except ValueError as error:
                self.not_computed[name] = f"{error}"
        return computed

    def _about(self):
        judge = self.judges.get(self.plan.features)
        return {} if judge is None else {"features": judge.about}


def _part_of(plan, sample, real):
    """The truth of the sample's captions and of the real images."""
    if plan.truth is None:
        return None
    starts = np.cumsum([0] + [len(texts) for texts in plan.index.captions])
    claims = [
        plan.truth.claims[starts[row] + place]
        for row, place in zip(sample.rows, sample.places, strict=True)
    ]
    return Truth(claims, {name: of[real] for name, of in plan.truth.codes.items()})
