"""Inception v3 of keras.applications: features for FID, class probabilities.

FIDs of the same images differ by points between implementations of the network, and by
more between filters for resizing. Reports therefore name both: here the network of
keras.applications, and images resized to 299 px by an antialiased bicubic filter
("clean", Parmar et al., 2022).
"""

import h5py
import keras
import numpy as np
import tensorflow as tf

from mirrorgan_tf.downloads import check_weights_file
from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.evaluation.features import Features, fingerprint

__all__ = ["InceptionExtractor", "clean_resize"]

_SIDE = 299
_FEATURES = 2048
_HINT = (
    "give --inception_weights the path of a Keras weights file of InceptionV3, with "
    "its top layer for the Inception Score "
    "(inception_v3_weights_tf_dim_ordering_tf_kernels.h5)"
)


class InceptionExtractor:
    """Images to pooled features and, with a top layer, class probabilities.

    Args:
        weights: "imagenet", which Keras downloads once, or the path of a Keras weights
            file: with a top layer of any number of classes (on CUB, StackGAN's
            fine-tuned network), or without one, for features alone.

    Attributes:
        about: one line on the features, for reports.

    Raises:
        UserError: the weights cannot be downloaded or read.
    """

    def __init__(self, weights: str = "imagenet"):
        network = _load(weights)
        self.facts = {"inception_v3": fingerprint(network.weights)}
        probs = network.output.get("probs")
        classes = "no" if probs is None else probs.shape[-1]
        self.about = (
            f"keras.applications InceptionV3 ({weights}), {_FEATURES} pooled features, "
            f"{classes} classes; images as PNG, resized to {_SIDE} px by an "
            "antialiased bicubic filter"
        )

        @tf.function(reduce_retracing=True, autograph=False)
        def extract(images):
            return network(clean_resize(images) / 127.5 - 1.0, training=False)

        self._extract = extract

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to `features` (B, 2048) and, if any, `probs`."""
        outputs = self._extract(tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}


def clean_resize(images: tf.Tensor) -> tf.Tensor:
    """Images (B, S, S, 3) to (B, 299, 299, 3) float32, by Pillow's bicubic filter."""
    images = tf.cast(images, tf.float32)
    return tf.image.resize(images, (_SIDE, _SIDE), "bicubic", antialias=True)


def _load(weights):
    """Inception v3 with outputs `features` and, if there is a top layer, `probs`."""
    imagenet = weights == "imagenet"
    try:
        if not imagenet:
            check_weights_file(weights)
        classes = 1000 if imagenet else _classes(weights)
        network = keras.applications.InceptionV3(
            include_top=bool(classes),
            classes=classes or 1000,
            pooling="avg",
            weights="imagenet" if imagenet else None,
            input_shape=(_SIDE, _SIDE, 3),
        )
        if not imagenet:
            network.load_weights(weights)
    except Exception as error:
        # Keras and h5py raise many classes of exceptions, even bare Exception.
        reason = first_line(error).removeprefix(f"{weights}: ")
        raise UserError(
            f"Inception's weights {weights} are not available ({reason}); {_HINT}"
        ) from None
    if not classes:
        return keras.Model(network.input, {"features": network.output})
    pooled = network.get_layer("avg_pool").output
    return keras.Model(network.input, {"features": pooled, "probs": network.output})


def _classes(path):
    """Number of classes of the top layer in a weights file; 0 without a top layer."""
    shapes = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda _, item: shapes.append(getattr(item, "shape", ())))
    # Only the kernel of the top layer has two dimensions.
    return max((s[1] for s in shapes if len(s) == 2 and s[0] == _FEATURES), default=0)
