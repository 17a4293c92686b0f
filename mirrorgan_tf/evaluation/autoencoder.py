"""Features of an autoencoder that is trained on real images, without labels."""

import hashlib
from pathlib import Path

import keras
import numpy as np
from absl import logging
from keras import layers

from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.features import Features, fingerprint
from mirrorgan_tf.evaluation.image_sets import real_images
from mirrorgan_tf.evaluation.sampling import choose_images
from mirrorgan_tf.evaluation.saved_networks import load_network, save_network

__all__ = [
    "AutoencoderExtractor",
    "build_autoencoder",
    "feature_network",
    "open_autoencoder",
    "reduce_images",
    "train_encoder",
]

_NAME = "autoencoder"
# Increase it when the network or its training changes, so that saved networks of
# older versions are not used.
_VERSION = 1
_MAX_SIZE_PX = 64
_CHANNELS = (24, 48, 64, 96)
_CODE_DIM = 64
_BATCH = 64
# The most images that are chosen for the training.
_MAX_IMAGES = 8_000
# Images that the training processes in all its epochs: a minute on two cores.
_TRAINING_IMAGES = 32_000
_MAX_EPOCHS = 40
# Determines which images are chosen, and the training.
_SEED = 1


class AutoencoderExtractor:
    """Features of an autoencoder's encoder.

    Args:
        encoder: from `train_encoder`.

    Attributes:
        about: one line on the features, for reports.
    """

    about = (
        "code and spread of activations of an autoencoder trained on real training "
        "images without labels; not comparable with published figures"
    )

    def __init__(self, encoder: keras.Model):
        # Keras does not list the constants of the last layer among the weights.
        scale = encoder.layers[-1]
        constants = [np.float32(scale.input_mean), np.float32(scale.input_variance)]
        self.facts = {_NAME: fingerprint([*encoder.weights, *constants])}
        self._encoder = encoder

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8, S a multiple of the input size, to `features`."""
        images = reduce_images(images, self._encoder.input_shape[1])
        return {"features": self._encoder.predict_on_batch(images)}


def build_autoencoder(size_px: int, *, seed: int = 0) -> keras.Model:
    """Builds an autoencoder whose bottleneck is a code of 64 numbers.

    Args:
        size_px: side of the images, a power of 2 from 16 to 64.
        seed: determines the initial weights.

    Returns:
        Model: (B, size_px, size_px, 3) in [0, 255] -> the same shape, in [-1, 1].
    """
    seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def conv(x, channels, strides=1, name=None):
        initializer = keras.initializers.HeNormal(next(seeds))
        x = layers.Conv2D(
            channels,
            3,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
        )(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.LeakyReLU(0.1, name=name)(x)

    def dense(x, units, name=None):
        initializer = keras.initializers.GlorotUniform(next(seeds))
        return layers.Dense(units, kernel_initializer=initializer, name=name)(x)

    inputs = keras.Input((size_px, size_px, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    for i, channels in enumerate(_CHANNELS):
        # The side is halved until it is 4 px, which small images reach earlier.
        strides = 2 if size_px >> (i + 1) >= 4 else 1
        x = conv(x, channels, strides, name=f"down{i}")
    code = dense(layers.Flatten()(x), _CODE_DIM, name="code")
    x = layers.Reshape((4, 4, _CHANNELS[-1]))(dense(code, 16 * _CHANNELS[-1]))
    side, channels = 4, list(_CHANNELS)
    while side < size_px:
        # A convolution before the upsampling costs a quarter of one after it.
        x = layers.UpSampling2D()(conv(x, channels.pop()))
        side *= 2
    outputs = layers.Conv2D(3, 3, padding="same", activation="tanh")(x)
    return keras.Model(inputs, outputs, name=_NAME)


def train_encoder(
    images: np.ndarray, *, seed: int, epochs: int | None = None
) -> keras.Model:
    """Trains an autoencoder to reproduce images and returns its encoder.

    The features are the code, which describes the scene, and for every channel of every
    layer the standard deviation over positions, which describes textures. Each is
    standardized over the training images, so that none of them dominates a distance.

    Args:
        images: (N, S, S, 3) uint8, S a power of 2 from 16 to 64.
        seed: determines the initial weights and the order of the images.
        epochs: passes over the images; None: as many as process 32,000 images, at
            most 40.

    Returns:
        Model: (B, S, S, 3) in [0, 255] -> (B, 296) float32.
    """
    model = build_autoencoder(images.shape[1], seed=seed)
    epochs = epochs or min(_MAX_EPOCHS, -(-_TRAINING_IMAGES // len(images)))
    steps = epochs * -(-len(images) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss="mse", jit_compile=False)
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for start in range(0, len(order), _BATCH):
            batch = images[order[start : start + _BATCH]].astype(np.float32)
            loss = model.train_on_batch(batch, batch / 127.5 - 1)
        logging.info("autoencoder: epoch %d/%d, loss %.4f", epoch + 1, epochs, loss)
    return feature_network(model, images)


def feature_network(autoencoder: keras.Model, images: np.ndarray) -> keras.Model:
    """The encoder with the features of `train_encoder` as its output.

    Args:
        autoencoder: a trained model of `build_autoencoder`.
        images: (N, S, S, 3) uint8, real images; mean and standard deviation of their
            features define the scale.
    """
    textures = [
        keras.ops.std(autoencoder.get_layer(f"down{i}").output, axis=(1, 2))
        for i in range(len(_CHANNELS))
    ]
    code = autoencoder.get_layer("code").output
    features = layers.Concatenate()([code, *textures])
    raw = keras.Model(autoencoder.input, features).predict(
        images, batch_size=_BATCH, verbose=0
    )
    standardized = layers.Normalization(
        mean=raw.mean(axis=0), variance=np.maximum(raw.var(axis=0), 1e-9)
    )
    return keras.Model(autoencoder.input, standardized(features), name=_NAME)


def open_autoencoder(
    folder: Path, index: CaptionedImages, image_px: int
) -> AutoencoderExtractor:
    """Loads the encoder of these images; trains and saves it if the folder lacks it.

    Args:
        folder: where networks are saved.
        index: real training images.
        image_px: side of the images; larger ones are reduced to 64 px.
    """
    size = min(image_px, _MAX_SIZE_PX)
    index = choose_images(index, _MAX_IMAGES, seed=_SEED)
    facts = {
        "version": _VERSION,
        "size_px": size,
        "image_px": image_px,
        "seed": _SEED,
        "images": hashlib.sha256(index.image_ids).hexdigest()[:16],
    }
    encoder = load_network(folder, _NAME, facts)
    if encoder is None:
        logging.info("training an autoencoder on %d real images", len(index))
        images = real_images("training", index, image_px)
        small = [reduce_images(batch, size) for batch in images.batches(_BATCH, 0)]
        encoder = train_encoder(np.concatenate(small), seed=_SEED)
        save_network(encoder, folder, _NAME, facts)
    return AutoencoderExtractor(encoder)


def reduce_images(images: np.ndarray, size_px: int) -> np.ndarray:
    """Averages square blocks of pixels: (N, S, S, 3) uint8 to side `size_px`.

    Raises:
        ValueError: S is no multiple of `size_px`.
    """
    factor, rest = divmod(images.shape[1], size_px)
    if rest or images.shape[1] != images.shape[2]:
        raise ValueError(
            f"images has shape {images.shape}; expected squares of k * {size_px} px"
        )
    if factor == 1:
        return images
    blocks = images.reshape(len(images), size_px, factor, size_px, factor, 3)
    return np.round(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
