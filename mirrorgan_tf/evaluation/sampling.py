"""Which captions are rendered, and which real images they are compared with."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.splits import take

__all__ = ["CaptionSample", "choose_real", "choose_some", "sample_captions"]


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionSample:
    """Captions of a data set, in its order.

    Attributes:
        captions: N texts.
        rows: (N,) for each the row of its image.
        places: (N,) for each its place among the image's captions.
    """

    captions: tuple[str, ...]
    rows: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)


def sample_captions(
    index: CaptionedImages,
    count: int,
    *,
    seed: int,
    eligible: Sequence[int] | None = None,
) -> CaptionSample:
    """Draws captions without repetition, or takes all if there are not more.

    All are equally likely. The field renders 30,000: on COCO about one of every seven
    validation captions, on CUB (29,330 test captions) all.

    Args:
        index: a split.
        count: captions wanted, at most.
        seed: of the drawing.
        eligible: numbers of the captions to draw from, counted over all images;
            None: all.
    """
    pairs = np.array(
        [
            (row, place)
            for row, captions in enumerate(index.captions)
            for place in range(len(captions))
        ]
    )
    if eligible is not None:
        pairs = pairs[np.asarray(eligible, np.int64)]
    if len(pairs) > count:
        chosen = np.random.default_rng(seed).choice(len(pairs), count, replace=False)
        pairs = pairs[np.sort(chosen)]
    return CaptionSample(
        captions=tuple(index.captions[row][place] for row, place in pairs),
        rows=pairs[:, 0],
        places=pairs[:, 1],
    )


def choose_real(
    index: CaptionedImages, sample: CaptionSample, *, seed: int
) -> np.ndarray:
    """Real images to compare with: the sample's own first, as many as its captions.

    Args:
        index: the split that the sample is of.
        sample: N captions.
        seed: of the drawing of others.

    Returns:
        min(N, len(index)) rows or, where N captions are of more images, no fewer
        than these; ascending.
    """
    own = np.unique(sample.rows)
    others = np.setdiff1d(np.arange(len(index)), own)
    more = min(len(others), max(len(sample) - len(own), 0))
    drawn = np.random.default_rng(seed).choice(others, more, replace=False)
    return np.sort(np.concatenate([own, drawn]))


def choose_some(
    index: CaptionedImages, count: int, *, seed: int
) -> CaptionedImages | None:
    """`count` images at random, in their order; all if there are not more; 0: None."""
    if not count:
        return None
    if len(index) <= count:
        return index
    rng = np.random.default_rng(seed)
    return take(index, np.sort(rng.choice(len(index), count, replace=False)))
