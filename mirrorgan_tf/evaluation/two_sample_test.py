"""Classifier two-sample test: a new network separates generated from real images."""

import dataclasses
import math

import keras
import numpy as np
from keras import layers

__all__ = ["TwoSampleTest", "binomial_interval", "two_sample_test"]

_STEPS, _BATCH = 400, 64


@dataclasses.dataclass(frozen=True)
class TwoSampleTest:
    """Result of a two-sample test.

    Attributes:
        accuracy: share of held-out images that the network classifies correctly; 0.5
            is expected of equal distributions.
        interval: 95 % binomial interval of the accuracy.
        images: number of held-out images of both sets.
    """

    accuracy: float
    interval: tuple[float, float]
    images: int


def two_sample_test(
    real: np.ndarray, generated: np.ndarray, *, seed: int = 0
) -> TwoSampleTest:
    """Trains a small CNN on half of both sets and tests it on the other half.

    If the sets differ in size, as many images of each are used as the smaller set has.

    Args:
        real: (N, S, S, 3) uint8, S a power of 2 from 16.
        generated: (M, S, S, 3) uint8.
        seed: determines the halves, the initial weights and the order of the images.

    Raises:
        ValueError: shapes differ, or a set has fewer than 4 images.

    Source: Lopez-Paz and Oquab, 2017.
    """
    count = min(len(real), len(generated))
    if real.shape[1:] != generated.shape[1:] or count < 4:
        raise ValueError(
            f"real has shape {real.shape}, generated {generated.shape}; expected the "
            "same sizes and at least 4 images of each"
        )
    rng = np.random.default_rng(seed)
    sets = [
        images[rng.permutation(len(images))[:count]] for images in (real, generated)
    ]
    half = count // 2
    model = _build_classifier(real.shape[1], seed)
    _train(
        model,
        np.concatenate([images[:half] for images in sets]),
        np.repeat([0.0, 1.0], half),
        rng,
    )
    held_out = np.concatenate([images[half:] for images in sets])
    logits = model.predict(held_out, batch_size=_BATCH, verbose=0)[:, 0]
    labels = np.repeat([False, True], count - half)
    correct = int(np.sum((logits > 0) == labels))
    return TwoSampleTest(
        accuracy=correct / len(labels),
        interval=binomial_interval(correct, len(labels)),
        images=len(labels),
    )


def binomial_interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the probability of success.

    Args:
        successes: from 0 to `count`.
        count: number of trials, at least 1.

    Source: Wilson, 1927.
    """
    z = 1.959964
    share, spread = successes / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / count / 4)
    half /= 1 + spread
    return max(0.0, middle - half), min(1.0, middle + half)


def _build_classifier(size_px, seed):
    """A CNN whose first layer reduces images of any size to at most 32×32."""
    seeds = iter(range(100 * seed, 100 * seed + 100))

    def conv(x, channels, kernel, strides):
        x = layers.Conv2D(
            channels,
            kernel,
            strides,
            padding="same",
            kernel_initializer=keras.initializers.HeNormal(next(seeds)),
        )(x)
        return layers.LeakyReLU(0.1)(x)

    inputs = keras.Input((size_px, size_px, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    stride = max(1, size_px // 32)
    x = conv(x, 16, max(3, 2 * stride), stride)
    for channels in (32, 64, 96):
        x = conv(x, channels, 3, 2)
    x = layers.GlobalAveragePooling2D()(x)
    initializer = keras.initializers.GlorotUniform(next(seeds))
    return keras.Model(inputs, layers.Dense(1, kernel_initializer=initializer)(x))


def _train(model, images, labels, rng):
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, _STEPS), weight_decay=1e-2
        ),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    for _ in range(_STEPS):
        rows = rng.integers(0, len(images), _BATCH)
        model.train_on_batch(images[rows], labels[rows, None])
