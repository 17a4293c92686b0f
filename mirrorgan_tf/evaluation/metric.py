"""What metrics are computed from, and how a metric is described."""

import dataclasses
from collections.abc import Callable, Mapping

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.features import FeatureExtractor, Features
from mirrorgan_tf.evaluation.image_folder import ImageFolder
from mirrorgan_tf.evaluation.image_sets import ImageSet
from mirrorgan_tf.evaluation.sampling import CaptionSample

__all__ = ["COMPARED_SETS", "Metric", "MetricInputs", "NotComputed", "require"]

# Sets that are compared with the real images: name -> how reports call it. The last two
# are references: what a perfect generator would reach, and what a blurring one would.
COMPARED_SETS = {
    "generated": "generated images",
    "other_real": "other real images",
    "blurred_real": "the same, blurred",
}


class NotComputed(Exception):
    """Says why a metric has no value."""


@dataclasses.dataclass(frozen=True)
class MetricInputs:
    """Everything that metrics are computed from.

    Attributes:
        sample: N captions; `rows` are rows of `index`.
        index: M real images.
        images: image sets by name: those of `COMPARED_SETS`, and "real".
        repeated: images of some captions with several seeds each, caption by caption.
        seeds_per_caption: in `repeated`.
        extractors: those that could be opened, by name.
        features: image set -> extractor -> its arrays; sets are those of `images`,
            "repeated" and "training".
        compared_features: extractors whose `features` FID and its like compare.
        training: training images in which the nearest to a real one is searched; None:
            no search.
        seed: fixes all random choices.
    """

    sample: CaptionSample
    index: CaptionedImages
    images: Mapping[str, ImageSet]
    repeated: ImageFolder
    seeds_per_caption: int
    extractors: Mapping[str, FeatureExtractor]
    features: Mapping[str, Mapping[str, Features]]
    compared_features: tuple[str, ...]
    training: CaptionedImages | None
    seed: int


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        compute: inputs to a dictionary of JSON values; raises NotComputed if it can't.
        needs: extractors without which there is no value.
        uses: extractors that add to the value if they are there.
        compares_features: whether it needs one of the extractors of --features.
        to_markdown: the value to the lines of its section in a report; None: the metric
            is part of the report's common tables.
    """

    compute: Callable[[MetricInputs], dict]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    compares_features: bool = False
    to_markdown: Callable[[dict], list[str]] | None = None


def require(count: int, minimum: int, what: str) -> None:
    """Raises NotComputed if there are fewer than `minimum`."""
    if count < minimum:
        raise NotComputed(f"{count} {what}; it needs at least {minimum}")
