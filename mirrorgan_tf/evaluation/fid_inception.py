"""The Inception network of published FIDs, for FIDs that can be compared with them.

The weights are the file pt_inception-2015-12-05-6726825d.pth that pytorch-fid and
torch-fidelity use, or the same parameters as .npz or .safetensors.
"""

import keras
import numpy as np
import tensorflow as tf

from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.convert.loading import load_entries
from mirrorgan_tf.convert.names import network_entries
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.features import Features, fingerprint
from mirrorgan_tf.models.torchvision import fid_inception

__all__ = ["FidInceptionExtractor"]

_SIZE_PX = 299


class FidInceptionExtractor:
    """Images to 2048 pooled features, as pytorch-fid computes them.

    Args:
        weights: path of the weights file.

    Attributes:
        about: one line on the features, for reports.

    Raises:
        UserError: the file can't be read or holds another network.
    """

    def __init__(self, weights: str):
        network = fid_inception()
        state = read_state(weights)
        try:
            load_entries(
                network_entries(network, lambda name: name), state, "FID's Inception"
            )
        except UserError as error:
            raise UserError(f"--fid_weights={weights}: {error}") from None
        self.facts = {"fid_inception": fingerprint(network.weights)}
        self.about = (
            f"Inception of the literature's FID ({weights}), 2048 pooled features; "
            "images as PNG, resized to 299 px bilinearly without antialiasing, as "
            "pytorch-fid does"
        )
        pooled = keras.layers.GlobalAveragePooling2D()(network.output)
        pooling = keras.Model(network.input, pooled)

        @tf.function(reduce_retracing=True, autograph=False)
        def extract(images):
            images = tf.cast(images, tf.float32)
            images = tf.image.resize(images, (_SIZE_PX, _SIZE_PX), "bilinear")
            return pooling(images / 127.5 - 1.0, training=False)

        self._extract = extract

    def __call__(self, images: np.ndarray) -> Features:
        """Images (B, S, S, 3) uint8 to `features` (B, 2048)."""
        return {"features": self._extract(tf.constant(images)).numpy()}
