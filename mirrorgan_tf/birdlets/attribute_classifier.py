"""A classifier of the attributes of birdlets.

It is trained on real images of the training split, and its accuracy is measured on the
validation split. It is not independent of the training of a generator: with
`--image_encoder_weights=backbone` the frozen networks of STREAM and DAMSM have learned
the same labels of the same images.
"""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
from absl import logging
from keras import layers

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, read_codes
from mirrorgan_tf.birdlets.dataset import MANIFEST
from mirrorgan_tf.data.bad_examples import data_errors
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.data.images import decode_images
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.autoencoder import reduce_images
from mirrorgan_tf.evaluation.features import Features, fingerprint
from mirrorgan_tf.evaluation.saved_networks import load_network, save_network
from mirrorgan_tf.files import read_bytes

__all__ = [
    "AttributeExtractor",
    "LabelledImages",
    "build_classifier",
    "held_out_accuracy",
    "open_classifier",
    "read_labelled",
    "train_classifier",
]

_NAME = "attribute_classifier"
# The name of the same network in folders that older versions wrote.
_OLD_NAME = "oracle"
# Increase it when the network or its training changes, so that saved networks of
# older versions are not used.
_VERSION = 3
_MAX_SIZE_PX = 64
# The body colour has a higher weight, because its obedience is quoted most often.
_LOSS_WEIGHTS = {"body_color": 2.5}
# Images that the training processes in all its epochs.
_TRAINING_IMAGES, _MAX_EPOCHS = 144_000, 40
_BATCH = 32
# Determines the training.
_SEED = 1


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Real images with their true attributes.

    Attributes:
        images: (N, S, S, 3) uint8. S is at least the side of the classifier's input,
            which is cropped from them at random.
        codes: attribute -> (N,) int32, positions in the attribute's values.
    """

    images: np.ndarray
    codes: dict[str, np.ndarray]


class AttributeExtractor:
    """The classified attributes, and the last feature map averaged over positions.

    Args:
        classifier: from `train_classifier`.
        accuracy: attribute -> accuracy on held-out real images.

    Attributes:
        about: one line on the features, for reports.
    """

    about = (
        "last feature map of the classifier of birdlets' attributes, averaged over "
        "positions; it learned the labels that the frozen networks of the recipes "
        "learned; not comparable with published figures"
    )

    def __init__(self, classifier: keras.Model, accuracy: dict[str, float]):
        self.accuracy = accuracy
        self.facts = {_NAME: fingerprint(classifier.weights)}
        self._size = classifier.input_shape[1]
        (flatten,) = (x for x in classifier.layers if isinstance(x, layers.Flatten))
        features = layers.GlobalAveragePooling2D()(flatten.input)
        self._network = keras.Model(
            classifier.input, classifier.output | {"features": features}
        )

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to codes (B,) by attribute and `features` (B, F).

        Raises:
            ValueError: S is no multiple of the classifier's size.
        """
        images = reduce_images(images, self._size)
        outputs = self._network.predict_on_batch(images)
        features = outputs.pop("features")
        return {"features": features} | {
            name: logits.argmax(axis=1).astype(np.int32)
            for name, logits in outputs.items()
        }


def open_classifier(folder: Path, data_dir: Path, image_px: int) -> AttributeExtractor:
    """Loads the classifier of a data set; trains and saves it if the folder lacks it.

    Args:
        folder: where networks are saved.
        data_dir: folder of the birdlets.
        image_px: side of the images; larger ones are reduced to 64 px.

    Raises:
        UserError: `data_dir` holds no birdlets.
    """
    size = min(image_px, _MAX_SIZE_PX)
    facts = {
        "recipe": _VERSION,
        "size": size,
        "seed": _SEED,
        "birdlets": _read_manifest(data_dir),
        "attributes": {name: list(values) for name, values in ATTRIBUTES.items()},
    }
    classifier = load_network(folder, _NAME, facts) or load_network(
        folder, _OLD_NAME, facts
    )
    if classifier is None:
        logging.info("training a classifier of attributes on real images")
        data = read_labelled(data_dir, "train", size)
        classifier = train_classifier(data, size, seed=_SEED)
        save_network(classifier, folder, _NAME, facts)
    held_out = read_labelled(data_dir, "val", size)
    return AttributeExtractor(classifier, held_out_accuracy(classifier, held_out))


def read_labelled(data_dir: str | Path, split: str, size: int) -> LabelledImages:
    """Decodes a split, slightly larger than `size` px so that crops can be random.

    Raises:
        UserError: the data set is missing, broken, or not birdlets.
    """
    index = read_coco(data_dir, [split])[split]
    codes = read_codes(data_dir, split, index.image_ids)
    with data_errors():
        decoded = decode_images(index, size)
    side = decoded.shorter_px
    return LabelledImages(np.reshape(decoded.pixels, (-1, side, side, 3)), codes)


def build_classifier(size: int, *, seed: int = 0) -> keras.Model:
    """Builds a small CNN with an output layer for each attribute.

    Args:
        size: side of the images in px, a power of 2 from 16.
        seed: determines the initial weights.

    Returns:
        Model: (B, size, size, 3) uint8 or float32 in [0, 255] -> {attribute:
        (B, values) float32 logits}.
    """
    seeds = iter(range(seed * 100, seed * 100 + 100))

    def conv(x, channels, strides=1):
        x = layers.Conv2D(
            channels,
            3,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        )(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    side, channels = size, 24
    while side > 4:
        x = conv(x, channels, strides=2)
        if side <= 32:
            x = conv(x, channels)
        side, channels = side // 2, min(channels * 2, 112)
    x = layers.Dropout(0.2, seed=seed)(layers.Flatten()(x))
    outputs = {
        name: layers.Dense(
            len(values),
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            name=name,
            dtype="float32",
        )(x)
        for name, values in ATTRIBUTES.items()
    }
    return keras.Model(inputs, outputs, name=_NAME)


def train_classifier(
    data: LabelledImages, size: int, *, seed: int, epochs: int | None = None
) -> keras.Model:
    """Trains a classifier on real images.

    Args:
        data: the training split.
        size: side of the classifier's input in px.
        seed: determines initial weights, order of the images and augmentation.
        epochs: passes over the data; None: as many as process 144,000 images, at most
            40.
    """
    if epochs is None:
        epochs = min(_MAX_EPOCHS, -(-_TRAINING_IMAGES // len(data.images)))
    model = build_classifier(size, seed=seed)
    batches = _Batches(data, size, seed)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(batches))
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss={
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for name in ATTRIBUTES
        },
        loss_weights={name: _LOSS_WEIGHTS.get(name, 1.0) for name in ATTRIBUTES},
        jit_compile=False,
    )

    def log(epoch, logs):
        logging.info(
            "%s: epoch %d/%d, loss %.2f", _NAME, epoch + 1, epochs, logs["loss"]
        )

    callback = keras.callbacks.LambdaCallback(on_epoch_end=log)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback])
    return model


def held_out_accuracy(
    classifier: keras.Model, data: LabelledImages
) -> dict[str, float]:
    """Accuracy of each attribute on the central crops of held-out images."""
    size = classifier.input_shape[1]
    margin = (data.images.shape[1] - size) // 2
    crop = slice(margin, margin + size)
    logits = classifier.predict(data.images[:, crop, crop], batch_size=100, verbose=0)
    return {
        name: float(np.mean(logits[name].argmax(axis=1) == data.codes[name]))
        for name in ATTRIBUTES
    }


def _read_manifest(data_dir):
    path = Path(data_dir) / MANIFEST
    try:
        return json.loads(read_bytes(path))
    except (OSError, ValueError):
        raise UserError(
            f"{path} is missing or damaged; the classifier of attributes needs birdlets"
        ) from None


class _Batches(keras.utils.PyDataset):
    """Augmented batches, each determined by seed, epoch and position alone."""

    def __init__(self, data, size, seed):
        super().__init__()
        self._data, self._size, self._seed = data, size, seed
        self._epoch = 0

    def __len__(self):
        return max(1, len(self._data.images) // _BATCH)

    def __getitem__(self, position):
        order = np.random.default_rng([self._seed, self._epoch]).permutation(
            len(self._data.images)
        )
        rows = order[position * _BATCH : (position + 1) * _BATCH]
        rng = np.random.default_rng([self._seed, self._epoch, position])
        images = _augment(self._data.images[rows], self._size, rng)
        return images, {name: codes[rows] for name, codes in self._data.codes.items()}

    def on_epoch_end(self):
        self._epoch += 1


def _augment(images, size, rng):
    """Random crops with random blur, brightness and noise.

    Generated images may be blurred or noisy; the classifier must be robust to that.
    """
    margin = images.shape[1] - size
    shifts = rng.integers(0, margin + 1, (len(images), 2))
    crops = np.stack(
        [
            image[top : top + size, left : left + size]
            for image, (top, left) in zip(images, shifts, strict=True)
        ]
    ).astype(np.float32)
    padded = np.pad(crops, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    blurred = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    shape = len(images), 1, 1, 1
    # The factor 0 or 1 leaves half of the images without any blur.
    blur = rng.uniform(0, 1, shape) * rng.integers(0, 2, shape)
    brightness = rng.uniform(0.92, 1.08, shape)
    strength = rng.uniform(0, 5, shape).astype(np.float32)
    noise = rng.standard_normal(crops.shape, np.float32) * strength
    mixed = crops + (blurred - crops) * blur.astype(np.float32)
    return np.clip(mixed * brightness.astype(np.float32) + noise, 0, 255)
