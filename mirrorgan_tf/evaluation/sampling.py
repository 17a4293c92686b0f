"""Which captions are rendered, and which real images they are compared with."""

import dataclasses

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["CaptionSample", "choose_images", "choose_real", "sample_captions"]


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionSample:
    """Captions of a data set, in its order.

    Attributes:
        captions: N texts.
        rows: (N,) for each the row of its image.
    """

    captions: tuple[str, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)


def sample_captions(index: CaptionedImages, count: int, *, seed: int) -> CaptionSample:
    """Samples captions without repetition, or takes all if there are not more.

    All are equally likely. The literature renders 30,000: on COCO about one of every
    seven validation captions, on CUB (29,330 test captions) all.

    Args:
        index: a split.
        count: captions, at most.
        seed: fixes the choice.
    """
    pairs = np.array(
        [
            (row, place)
            for row, captions in enumerate(index.captions)
            for place in range(len(captions))
        ]
    )
    if len(pairs) > count:
        chosen = np.random.default_rng(seed).choice(len(pairs), count, replace=False)
        pairs = pairs[np.sort(chosen)]
    return CaptionSample(
        captions=tuple(index.captions[row][place] for row, place in pairs),
        rows=pairs[:, 0],
    )


def choose_real(
    index: CaptionedImages, sample: CaptionSample, *, seed: int
) -> np.ndarray:
    """Real images to compare with: the sample's own, and others up to its length.

    Args:
        index: the split that the sample is from.
        sample: N captions.
        seed: fixes the choice of the others.

    Returns:
        min(N, len(index)) rows or, where N captions are of more images, no fewer
        than these; ascending.
    """
    own = np.unique(sample.rows)
    others = np.setdiff1d(np.arange(len(index)), own)
    count = min(len(others), max(len(sample) - len(own), 0))
    chosen = np.random.default_rng(seed).choice(others, count, replace=False)
    return np.sort(np.concatenate([own, chosen]))


def choose_images(index: CaptionedImages, count: int, *, seed: int) -> CaptionedImages:
    """`count` images at random, in their order; all if there are not more."""
    if len(index) <= count:
        return index
    rng = np.random.default_rng(seed)
    return index.select(np.sort(rng.choice(len(index), count, replace=False)))
