"""Random choices of captions to generate images from, and of real images."""

import dataclasses

import numpy as np

from mirrorgan_tf.data.records import CaptionedImages

__all__ = ["CaptionSample", "choose_images", "choose_real", "sample_captions"]


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionSample:
    """Captions of a split, in its order.

    Attributes:
        captions: N texts.
        rows: (N,), the row of each caption's image.
    """

    captions: tuple[str, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)


def sample_captions(index: CaptionedImages, count: int, *, seed: int) -> CaptionSample:
    """Samples captions without repetition; all are equally likely.

    The literature samples 30,000: on COCO about every seventh validation caption, on
    CUB (29,330 test captions) all of them.

    Args:
        index: a split.
        count: how many captions; all if there are fewer.
        seed: determines the choice.
    """
    pairs = np.array(
        [
            (row, position)
            for row, captions in enumerate(index.captions)
            for position in range(len(captions))
        ]
    )
    if len(pairs) > count:
        chosen = np.random.default_rng(seed).choice(len(pairs), count, replace=False)
        pairs = pairs[np.sort(chosen)]
    return CaptionSample(
        captions=tuple(index.captions[row][position] for row, position in pairs),
        rows=pairs[:, 0],
    )


def choose_real(
    index: CaptionedImages, sample: CaptionSample, *, seed: int
) -> np.ndarray:
    """Chooses N real images, among them all images of a sample of N captions.

    Args:
        index: the split that the sample is from.
        sample: N captions.
        seed: determines the choice of the other images.

    Returns:
        min(N, len(index)) rows, ascending.
    """
    own = np.unique(sample.rows)
    others = np.setdiff1d(np.arange(len(index)), own)
    count = min(len(others), max(len(sample) - len(own), 0))
    chosen = np.random.default_rng(seed).choice(others, count, replace=False)
    return np.sort(np.concatenate([own, chosen]))


def choose_images(index: CaptionedImages, count: int, *, seed: int) -> CaptionedImages:
    """Chooses images at random and keeps their order; all if there are fewer."""
    if len(index) <= count:
        return index
    rng = np.random.default_rng(seed)
    return index.select(np.sort(rng.choice(len(index), count, replace=False)))
