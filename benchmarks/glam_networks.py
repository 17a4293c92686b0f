"""The networks of GLAM's training step for benchmarks, with random weights."""

from typing import Any

import keras
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.networks import (
    build_discriminators,
    build_glam,
    build_image_encoder,
    build_stream,
    build_text_encoder,
)

__all__ = ["VOCABULARY_SIZE", "Pooled", "build_networks"]

VOCABULARY_SIZE = 5450


def build_networks(config: Config, *, cnn: bool) -> dict[str, Any]:
    """The networks of a step by name; the image encoder only if the step needs it."""
    stream = build_stream(config, VOCABULARY_SIZE)
    networks = {
        "stem": build_text_encoder(config, VOCABULARY_SIZE),
        "stream": stream if cnn else Pooled(stream.decoder),
        "glam": build_glam(config),
        "glam_ema": build_glam(config),
        "discriminators": build_discriminators(config),
    }
    if config.losses.damsm_weight or config.feature_sizes:
        networks["image_encoder"] = build_image_encoder(config)
    return networks


class Pooled:
    """STREAM with projected 4×4 mean colours in place of its CNN."""

    def __init__(self, decoder):
        self.decoder = decoder
        self.encoder = _PooledEncoder(decoder.embedding_dim)

    @property
    def variables(self) -> list[keras.Variable]:
        """The decoder's variables and the projection."""
        return [*self.decoder.variables, self.encoder.projection]


class _PooledEncoder:
    """The methods of `StreamEncoder` and its backbone that a training step calls."""

    def __init__(self, feature_dim):
        self.backbone = self
        self.projection = keras.Variable(
            keras.random.normal((48, feature_dim), seed=1), trainable=False
        )

    def feature_maps(self, images):
        """Images (B, s, s, 3) to one map (B, 4, 4, 3)."""
        side = images.shape[1] // 4
        return [ops.average_pool(images, side, side)]

    def from_maps(self, maps):
        """No regions, and the pooled vector (B, 48)."""
        return None, ops.reshape(maps[0], (-1, 48))

    def project(self, pooled):
        """(B, 48) to the decoder's feature (B, feature_dim)."""
        return ops.matmul(pooled, self.projection)
