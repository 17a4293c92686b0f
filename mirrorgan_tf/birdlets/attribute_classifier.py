"""Reads birdlets' attributes from images: a classifier trained on real ones only.

It is trained on the training split, never on generated images; its own accuracy is
measured on the validation split. It is not independent of what trains a generator: see
`CLASSIFIER_CAVEAT` in `metrics.claims`.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.caption_attributes import CLASSIFIER_CAVEAT
from mirrorgan_tf.evaluation.features import fingerprint
from mirrorgan_tf.files import read_bytes, whole_file, write_whole

__all__ = [
    "LabelledImages",
    "OracleJudge",
    "build_oracle",
    "load_oracle",
    "oracle_size",
    "read_attributes",
    "reduce_images",
    "save_oracle",
    "train_oracle",
]

_MAX_SIZE = 64
_MODEL_FILE, _FACTS_FILE = "oracle.keras", "oracle.json"
# Body colour is what obedience is judged by.
_WEIGHTS = {"body_color": 2.5}
# Part of the facts: raise it when the network or its training changes.
_RECIPE = 3
_IMAGES_SEEN, _MOST_EPOCHS = 144_000, 40


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Real images with their true attributes.

    Attributes:
        images: (N, S, S, 3) uint8, S at least the oracle's size: crops are cut
            from them as they are for the generator.
        codes: attribute -> (N,) int32.
    """

    images: np.ndarray
    codes: dict[str, np.ndarray]


def oracle_size(image_px: int) -> int:
    """Side of the images that the oracle reads: bigger ones are reduced to 64 px."""
    return min(image_px, _MAX_SIZE)


def build_oracle(size: int, *, seed: int = 0) -> keras.Model:
    """A small CNN with one head of logits for each attribute.

    Args:
        size: side of the images in px, a power of 2 from 16.
        seed: of the initial weights.

    Returns:
        Model: (B, size, size, 3) uint8 or float32 in [0, 255] -> {attribute:
        (B, values) float32 logits}.
    """
    seeds = iter(range(seed * 100, seed * 100 + 100))

    def kernel():
        return keras.initializers.GlorotUniform(next(seeds))

    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    side, channels = size, 24
    while side > 4:
        x = _convolution(x, channels, kernel(), strides=2)
        if side <= 32:
            x = _convolution(x, channels, kernel())
        side, channels = side // 2, min(channels * 2, 112)
    x = layers.Dropout(0.2, seed=seed)(layers.Flatten()(x))
    outputs = {
        name: layers.Dense(
            len(values), kernel_initializer=kernel(), name=name, dtype="float32"
        )(x)
        for name, values in ATTRIBUTES.items()
    }
    return keras.Model(inputs, outputs, name="oracle")


def train_oracle(
    data: LabelledImages,
    size: int,
    *,
    seed: int,
    epochs: int | None = None,
    batch_size: int = 32,
    progress: Callable[[int, int, float], None] | None = None,
) -> keras.Model:
    """Trains an oracle on real images.

    Args:
        data: the training split.
        size: side of the images that it reads.
        seed: of weights, order and augmentation.
        epochs: passes over the data; none: 144,000 images in all, but at most 40
            passes. Of birdlets' 12,000 images that is 12: 4,000 images, however
            often seen, leave beaks, tails and crests half unread.
        batch_size: images a step.
        progress: called with (epoch, epochs, loss) after each epoch.
    """
    if epochs is None:
        epochs = min(_MOST_EPOCHS, -(-_IMAGES_SEEN // len(data.images)))
    model = build_oracle(size, seed=seed)
    batches = _Batches(data, size, batch_size, seed)
    rate = keras.optimizers.schedules.CosineDecay(
        3e-3, epochs * len(batches), warmup_target=None
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss={
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for name in ATTRIBUTES
        },
        loss_weights={name: _WEIGHTS.get(name, 1.0) for name in ATTRIBUTES},
        jit_compile=False,
    )
    callbacks = []
    if progress:
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: progress(
                    epoch + 1, epochs, logs["loss"]
                )
            )
        )
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def read_attributes(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the oracle sees.

    Args:
        model: the oracle.
        images: (N, S, S, 3) uint8; bigger ones are reduced first.

    Returns:
        Attribute -> (N,) int32 codes.
    """
    images = reduce_images(images, model.input_shape[1])
    logits = model.predict(images, batch_size=100, verbose=0)
    return {name: logits[name].argmax(axis=1).astype(np.int32) for name in ATTRIBUTES}


class OracleJudge:
    """The oracle as a judge: what it reads, and features in place of Inception's.

    Args:
        oracle: trained.
        accuracy: attribute -> its accuracy on held-out real images.

    Attributes:
        about: of the features, for the report.
    """

    about = (
        "the last map of the birdlets classifier, its mean over all places: not to be "
        f"compared with published figures. {CLASSIFIER_CAVEAT.removesuffix('.')}"
    )

    def __init__(self, oracle: keras.Model, accuracy: dict[str, float]):
        self.accuracy = accuracy
        self.facts = {"oracle": fingerprint(oracle.weights)}
        self._oracle = oracle
        (flatten,) = (x for x in oracle.layers if isinstance(x, layers.Flatten))
        self._network = keras.Model(
            oracle.input,
            oracle.output
            | {"features": layers.GlobalAveragePooling2D()(flatten.input)},
        )

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, S, S, 3) uint8 to codes (B,) by attribute and `features` (B, F).

        Raises:
            ValueError: S is no multiple of the oracle's size.
        """
        images = reduce_images(images, self._oracle.input_shape[1])
        seen = self._network.predict_on_batch(images)
        features = seen.pop("features")
        codes = {name: of.argmax(axis=1).astype(np.int32) for name, of in seen.items()}
        return codes | {"features": features}


def reduce_images(images: np.ndarray, size: int) -> np.ndarray:
    """(N, S, S, 3) uint8 to (N, size, size, 3) uint8 by the mean of whole pixels.

    Raises:
        ValueError: S is no multiple of size.
    """
    factor, rest = divmod(images.shape[1], size)
    if rest or images.shape[1] != images.shape[2]:
        raise ValueError(
            f"images has shape {images.shape}; expected squares of k * {size} px"
        )
    if factor == 1:
        return images
    blocks = images.reshape(len(images), size, factor, size, factor, 3)
    return np.round(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def save_oracle(model: keras.Model, folder: Path, facts: dict) -> None:
    """Writes the oracle with the facts that it depends on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FACTS_FILE).unlink(missing_ok=True)
    with whole_file(folder / _MODEL_FILE) as partial:
        model.save(partial)
    # Last: without it the model counts for nothing.
    text = json.dumps({"recipe": _RECIPE, **facts}, indent=1)
    write_whole(folder / _FACTS_FILE, text)


def load_oracle(folder: Path, facts: dict) -> keras.Model | None:
    """The saved oracle, or None if there is none that fits these facts."""
    try:
        saved = json.loads(read_bytes(folder / _FACTS_FILE))
        if saved != {"recipe": _RECIPE, **facts}:
            return None
        return keras.models.load_model(folder / _MODEL_FILE, compile=False)
    except (OSError, ValueError):
        return None


def _convolution(x, channels, kernel, strides=1):
    x = layers.Conv2D(
        channels,
        3,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=kernel,
    )(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


class _Batches(keras.utils.PyDataset):
    """Seeded, augmented batches; the same for the same (seed, epoch, place)."""

    def __init__(self, data, size, batch_size, seed):
        super().__init__()
        self._data, self._size = data, size
        self._batch_size, self._seed = batch_size, seed
        self._epoch = 0

    def __len__(self):
        return max(1, len(self._data.images) // self._batch_size)

    def __getitem__(self, place):
        order = np.random.default_rng([self._seed, self._epoch]).permutation(
            len(self._data.images)
        )
        rows = order[place * self._batch_size : (place + 1) * self._batch_size]
        rng = np.random.default_rng([self._seed, self._epoch, place])
        images = _augment(self._data.images[rows], self._size, rng)
        return images, {name: codes[rows] for name, codes in self._data.codes.items()}

    def on_epoch_end(self):
        self._epoch += 1


def _augment(images, size, rng):
    """Random crops, some of them soft, with noise and other light: robustness."""
    room = images.shape[1] - size
    shifts = rng.integers(0, room + 1, (len(images), 2))
    crops = np.stack(
        [
            image[top : top + size, left : left + size]
            for image, (top, left) in zip(images, shifts, strict=True)
        ]
    ).astype(np.float32)
    padded = np.pad(crops, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    blurred = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    softness = rng.uniform(0, 1, (len(images), 1, 1, 1)) * rng.integers(
        0, 2, (len(images), 1, 1, 1)
    )
    light = rng.uniform(0.92, 1.08, (len(images), 1, 1, 1))
    strength = rng.uniform(0, 5, (len(images), 1, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(crops.shape, np.float32) * strength
    mixed = crops + (blurred - crops) * softness.astype(np.float32)
    return np.clip(mixed * light.astype(np.float32) + noise, 0, 255)
