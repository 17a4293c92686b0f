"""R-precision: is an image's own caption found among those of others?

Source: AttnGAN, section 4 (1 true caption and 99 mismatching ones, cosine of DAMSM's
codes, 30,000 images in 10 folds). As in DM-GAN's code, the 99 are of other classes:
on CUB of other species, on COCO, where every image is its own class, of other images.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["draw_mismatches", "r_precision"]

# Of a cosine of float32 codes.
_ROUNDING = 1e-6


def r_precision(
    codes: np.ndarray,
    sentences: np.ndarray,
    mismatches: np.ndarray,
    *,
    ks: Sequence[int] = (1, 2, 3),
    folds: int = 10,
    seed: int = 0,
) -> dict[int, tuple[float, float]]:
    """Share of images whose own caption is among the k nearest candidates.

    A candidate as near as the true caption, to within the rounding of float32, counts
    as nearer: codes that are all the same find nothing.

    Args:
        codes: (N, D) of images.
        sentences: (N, D); row i is of image i's own caption.
        mismatches: (N, K) integers, rows of `sentences` that image i's caption
            competes with.
        ks: ranks that count as found.
        folds: parts, dealt at random, over which the spread is told.
        seed: of the dealing.

    Returns:
        k -> mean and standard deviation over the folds.

    Raises:
        ValueError: shapes don't fit, or there are fewer images than folds.
    """
    count = len(codes)
    if codes.shape != sentences.shape or len(mismatches) != count or count < folds:
        raise ValueError(
            f"codes {codes.shape}, sentences {sentences.shape}, mismatches "
            f"{mismatches.shape}; expected (N, D) twice and (N, K), N at least {folds}"
        )
    codes, sentences = _unit(codes), _unit(sentences)
    own = np.sum(codes * sentences, axis=1)
    ranks = np.array(
        [
            np.sum(sentences[rivals] @ code >= cosine - _ROUNDING)
            for code, rivals, cosine in zip(codes, mismatches, own, strict=True)
        ]
    )
    order = np.random.default_rng(seed).permutation(count)
    parts = [ranks[rows] for rows in np.array_split(order, folds)]
    shares = {k: [np.mean(part < k) for part in parts] for k in ks}
    return {k: (float(np.mean(of)), float(np.std(of))) for k, of in shares.items()}


def draw_mismatches(
    classes: Sequence, texts: Sequence[str], *, count: int = 99, seed: int = 0
) -> np.ndarray:
    """For each caption some of other classes, without repetition.

    Captions of the very same text never compete: neither of them is wrong.

    Args:
        classes: (N,) class of each caption's image.
        texts: N captions.
        count: captions to draw for each.
        seed: of the drawing.

    Returns:
        (N, count) rows.

    Raises:
        ValueError: for some caption there are not so many.
    """
    classes = np.unique(classes, return_inverse=True)[1]
    texts = np.unique(np.asarray(texts), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(classes), count), np.int64)
    for row in range(len(classes)):
        allowed = np.flatnonzero((classes != classes[row]) & (texts != texts[row]))
        if len(allowed) < count:
            raise ValueError(
                f"{len(allowed)} captions of other classes than caption {row}'s; "
                f"expected at least {count}"
            )
        drawn[row] = rng.choice(allowed, count, replace=False, shuffle=False)
    return drawn


def _unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
