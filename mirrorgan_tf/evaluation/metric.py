"""Class `Metric`, and `MetricInputs`, from which metrics are computed."""

import dataclasses
from collections.abc import Callable, Mapping

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.features import FeatureExtractor, Features
from mirrorgan_tf.evaluation.image_folder import ImageFolder
from mirrorgan_tf.evaluation.image_sets import ImageSet
from mirrorgan_tf.evaluation.sampling import CaptionSample

__all__ = ["COMPARED_SETS", "Metric", "MetricInputs", "NotComputed", "require"]

# Image sets that are compared with the real images, with their titles in reports. Other
# real images show what a perfect generator would reach, blurred ones what a generator
# without fine details would reach.
COMPARED_SETS = {
    "generated": "generated images",
    "other_real": "other real images",
    "blurred_real": "the same, blurred",
}


class NotComputed(Exception):
    """A metric can't be computed; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class MetricInputs:
    """Everything that metrics are computed from.

    Attributes:
        sample: N captions; `rows` are rows of `index`.
        index: M real images.
        images: name -> image set: those of `COMPARED_SETS`, and "real".
        repeated: images of a few captions, several seeds of the first caption, then
            of the second and so on.
        seeds_per_caption: number of these seeds.
        extractors: name -> feature extractor, those that could be opened.
        features: image set -> extractor -> its arrays; the sets are those of `images`,
            "repeated" and "training".
        compared_features: extractors whose array `features` is compared by FID, KID,
            precision and recall.
        training: training images among which the one nearest to a real image is
            searched; None: no search.
        seed: determines all random choices.
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
    """A metric of an evaluation.

    Attributes:
        compute: inputs to a dictionary of JSON values; raises NotComputed if it can't.
        needs: names of the extractors that it requires.
        uses: names of extractors that it uses if they could be opened.
        compares_features: whether it requires one of the extractors of --features.
        to_markdown: the value to the lines of its section in a report; None: the
            report's own tables show the value.
    """

    compute: Callable[[MetricInputs], dict]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    compares_features: bool = False
    to_markdown: Callable[[dict], list[str]] | None = None


def require(count: int, minimum: int, what: str) -> None:
    """Raises NotComputed if `count` is below `minimum`; `what` is counted."""
    if count < minimum:
        raise NotComputed(f"{count} {what}; it needs at least {minimum}")
