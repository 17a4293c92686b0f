"""DiffAugment: what a discriminator sees is changed at random, real or not.

A discriminator that sees a small set again and again learns it by heart; of images
that are never the same twice it can't. Gradients pass, so the generator is judged by
changed images too, and need not make them.

Source: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training (2020).
"""

from collections.abc import Sequence

from keras import ops

__all__ = ["DRAWS", "augment", "shift"]

# Numbers an image: three of colour, two of translation, two of cutout.
DRAWS = 7
# Parts of the side.
_LARGEST_SHIFT = 0.125
_HOLE = 0.5


def augment(images, draws, names: Sequence[str]):
    """Changes each image by its own draws.

    The same draws change an image of any size alike, up to whole pixels.

    Args:
        images: (B, s, s, 3) in [-1, 1]; the result may go beyond.
        draws: (B, DRAWS) in [0, 1), uniform.
        names: of what is done, in order: color, translation, cutout.

    Returns:
        As `images`.
    """
    draws = ops.cast(draws, images.dtype)
    for name in names:
        images = _AUGMENTATIONS[name](images, draws)
    return images


def shift(images, draws, largest: float):
    """Moves each image by whole pixels; what comes in is mirrored at the edges.

    Args:
        images: (B, s, s, any).
        draws: (B, 2) in [0, 1), uniform: down and right.
        largest: of the shift both ways, as a part of the side, at most 0.5.

    Returns:
        As `images`.
    """
    side = images.shape[1]
    pixels = round(side * largest)
    steps = ops.floor(draws * (2 * pixels + 1)) - pixels
    positions = ops.arange(side, dtype=steps.dtype)
    sources = positions[None, None] + steps[:, :, None]
    # 0 1 2 .. continues as 0 0 1 .. before the edge, and likewise behind it.
    sources = ops.where(sources < 0, -1.0 - sources, sources)
    sources = ops.where(sources > side - 1, 2.0 * side - 1.0 - sources, sources)
    # (B, 2, to, from): a product, since XLA and determinism like no gathering.
    moves = ops.cast(ops.equal(sources[..., None], positions), images.dtype)
    images = ops.einsum("bij,bjkc->bikc", moves[:, 0], images)
    return ops.einsum("bij,bkjc->bkic", moves[:, 1], images)


def _color(images, draws):
    """Brightness by up to 0.5, saturation from 0 to 2, contrast from 0.5 to 1.5."""
    brightness, saturation, contrast = (draws[:, i, None, None, None] for i in range(3))
    images = images + (brightness - 0.5)
    gray = ops.mean(images, axis=-1, keepdims=True)
    images = gray + (images - gray) * (2.0 * saturation)
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images, draws):
    """Moves by up to an eighth of the side, zeros coming in."""
    side = images.shape[1]
    largest = round(side * _LARGEST_SHIFT)
    shifts = ops.floor(draws[:, 3:5] * (2 * largest + 1)) - largest
    pixels = ops.arange(side, dtype=images.dtype)
    # (B, to, from): a product, since XLA and determinism like no gathering.
    down, right = (
        ops.cast(
            ops.equal(pixels[None, :, None], pixels + shifts[:, i, None, None]),
            images.dtype,
        )
        for i in (0, 1)
    )
    images = ops.einsum("bij,bjkc->bikc", down, images)
    return ops.einsum("bij,bkjc->bkic", right, images)


def _cutout(images, draws):
    """Zeros a square of half the side, which may stick out over the edge."""
    side = images.shape[1]
    hole = round(side * _HOLE)
    first = ops.floor(draws[:, 5:7] * (side + 1 - hole % 2)) - hole // 2
    pixels = ops.arange(side, dtype=images.dtype)
    rows, columns = (
        ops.logical_and(pixels >= first[:, i, None], pixels < first[:, i, None] + hole)
        for i in (0, 1)
    )
    inside = ops.logical_and(rows[:, :, None], columns[:, None, :])
    return images * (1.0 - ops.cast(inside[..., None], images.dtype))


_AUGMENTATIONS = {"color": _color, "translation": _translation, "cutout": _cutout}
