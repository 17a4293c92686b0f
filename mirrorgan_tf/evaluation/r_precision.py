"""R-precision: retrieval of an image's caption among captions of other images.

Source: AttnGAN, section 4 (1 true caption and 99 others, cosine of DAMSM's codes,
30,000 images in 10 folds). As in DM-GAN's code, the 99 captions are of other classes:
on CUB of other species, on COCO, where every image is a class, of other images.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["sample_mismatches", "r_precision"]

_FOLDS = 10
# Largest rounding error of a cosine of float32 codes.
_ROUNDING = 1e-6


def r_precision(
    codes: np.ndarray,
    sentences: np.ndarray,
    mismatches: np.ndarray,
    *,
    seed: int = 0,
) -> dict[int, tuple[float, float]]:
    """Shares of images whose own caption is among the k nearest candidates.

    A candidate that is as near as the true caption, within float32's rounding, counts
    as nearer, so that the share for equal codes is 0.

    Args:
        codes: (N, D), of images.
        sentences: (N, D); row i is the caption of image i.
        mismatches: (N, K) integers, for each image the rows of `sentences` that
            compete with its caption.
        seed: determines the 10 folds, random parts of the images.

    Returns:
        k -> mean and standard deviation over the folds, for k = 1, 2 and 3.

    Raises:
        ValueError: shapes don't fit, or there are fewer images than folds.
    """
    count = len(codes)
    if codes.shape != sentences.shape or len(mismatches) != count or count < _FOLDS:
        raise ValueError(
            f"codes {codes.shape}, sentences {sentences.shape}, mismatches "
            f"{mismatches.shape}; expected (N, D) twice and (N, K), N at least {_FOLDS}"
        )
    codes, sentences = _unit(codes), _unit(sentences)
    own = np.sum(codes * sentences, axis=1)
    ranks = np.array(
        [
            np.sum(sentences[others] @ code >= cosine - _ROUNDING)
            for code, others, cosine in zip(codes, mismatches, own, strict=True)
        ]
    )
    order = np.random.default_rng(seed).permutation(count)
    folds = [ranks[rows] for rows in np.array_split(order, _FOLDS)]
    shares = {k: [np.mean(fold < k) for fold in folds] for k in (1, 2, 3)}
    return {
        k: (float(np.mean(values)), float(np.std(values)))
        for k, values in shares.items()
    }


def sample_mismatches(
    classes: Sequence, texts: Sequence[str], *, count: int = 99, seed: int = 0
) -> np.ndarray:
    """For each caption `count` captions of other classes, without repetition.

    A caption never competes with an equal text, since both describe the image.

    Args:
        classes: (N,) class of each caption's image.
        texts: N captions.
        count: captions to choose for each.
        seed: determines the choice.

    Returns:
        (N, count) rows.

    Raises:
        ValueError: a caption has fewer than `count` of them.
    """
    classes = np.unique(classes, return_inverse=True)[1]
    texts = np.unique(np.asarray(texts), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    mismatches = np.empty((len(classes), count), np.int64)
    for row in range(len(classes)):
        allowed = np.flatnonzero((classes != classes[row]) & (texts != texts[row]))
        if len(allowed) < count:
            raise ValueError(
                f"{len(allowed)} captions of other classes than caption {row}'s; "
                f"expected at least {count}"
            )
        mismatches[row] = rng.choice(allowed, count, replace=False, shuffle=False)
    return mismatches


def _unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
