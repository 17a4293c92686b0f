"""DiffAugment: random changes of a discriminator's inputs, real and generated alike.

They keep a discriminator from memorising a small training set. Gradients pass through
them, so the generator learns from changed images without having to generate changes.

Source: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training (2020).
"""

from collections.abc import Sequence

from keras import ops

__all__ = ["NUMBERS_PER_IMAGE", "augment", "shift"]

# Three for colour, two for translation, two for cutout.
NUMBERS_PER_IMAGE = 7
# Fractions of the side.
_LARGEST_SHIFT = 0.125
_HOLE_SIDE = 0.5


def augment(images, numbers, names: Sequence[str]):
    """Changes each image by its own random numbers.

    The same numbers change an image of any size alike, up to whole pixels.

    Args:
        images: (B, s, s, 3) in [-1, 1]; the result may go beyond.
        numbers: (B, NUMBERS_PER_IMAGE) in [0, 1), uniform.
        names: of the augmentations, in order: color, translation, cutout.

    Returns:
        As `images`.
    """
    numbers = ops.cast(numbers, images.dtype)
    for name in names:
        images = _AUGMENTATIONS[name](images, numbers)
    return images


def shift(images, numbers, largest: float):
    """Moves each image by whole pixels; gaps are filled with the mirrored image.

    Args:
        images: (B, s, s, any).
        numbers: (B, 2) in [0, 1), uniform: down and right.
        largest: shift in either direction, as a part of the side, at most 0.5.

    Returns:
        As `images`.
    """
    side = images.shape[1]
    pixels = round(side * largest)
    steps = ops.floor(numbers * (2 * pixels + 1)) - pixels
    positions = ops.arange(side, dtype=steps.dtype)
    sources = positions[None, None] + steps[:, :, None]
    # 0 1 2 .. continues as 0 0 1 .. before the edge, and likewise behind it.
    sources = ops.where(sources < 0, -1.0 - sources, sources)
    sources = ops.where(sources > side - 1, 2.0 * side - 1.0 - sources, sources)
    # (B, 2, to, from): a matrix product, as a gather's gradient is not deterministic.
    moves = ops.cast(ops.equal(sources[..., None], positions), images.dtype)
    images = ops.einsum("bij,bjkc->bikc", moves[:, 0], images)
    return ops.einsum("bij,bkjc->bkic", moves[:, 1], images)


def _color(images, numbers):
    """Brightness by up to 0.5, saturation from 0 to 2, contrast from 0.5 to 1.5."""
    brightness, saturation, contrast = (
        numbers[:, i, None, None, None] for i in range(3)
    )
    images = images + (brightness - 0.5)
    gray = ops.mean(images, axis=-1, keepdims=True)
    images = gray + (images - gray) * (2.0 * saturation)
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images, numbers):
    """Moves by up to an eighth of the side; gaps are filled with zeros."""
    side = images.shape[1]
    largest = round(side * _LARGEST_SHIFT)
    shifts = ops.floor(numbers[:, 3:5] * (2 * largest + 1)) - largest
    pixels = ops.arange(side, dtype=images.dtype)
    # (B, to, from): a matrix product, see `shift`.
    down, right = (
        ops.cast(
            ops.equal(pixels[None, :, None], pixels + shifts[:, i, None, None]),
            images.dtype,
        )
        for i in (0, 1)
    )
    images = ops.einsum("bij,bjkc->bikc", down, images)
    return ops.einsum("bij,bkjc->bkic", right, images)


def _cutout(images, numbers):
    """Zeros a square of half the side, which may extend over the edge."""
    side = images.shape[1]
    hole = round(side * _HOLE_SIDE)
    first = ops.floor(numbers[:, 5:7] * (side + 1 - hole % 2)) - hole // 2
    pixels = ops.arange(side, dtype=images.dtype)
    rows, columns = (
        ops.logical_and(pixels >= first[:, i, None], pixels < first[:, i, None] + hole)
        for i in (0, 1)
    )
    inside = ops.logical_and(rows[:, :, None], columns[:, None, :])
    return images * (1.0 - ops.cast(inside[..., None], images.dtype))


_AUGMENTATIONS = {"color": _color, "translation": _translation, "cutout": _cutout}
