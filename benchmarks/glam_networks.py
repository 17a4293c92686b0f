"""The networks of GLAM's step as benchmarks time them: CUB, random weights."""

from typing import Any

import keras
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.models import from_config

__all__ = ["VOCABULARY_SIZE", "Pooled", "build_networks", "glam_config"]

VOCABULARY_SIZE = 5450
# What differs from the paper's sizes where only the road through a step is tried.
_TINY = {
    "max_words": 6,
    "base_size": 16,
    "generator_width": 4,
    "discriminator_width": 2,
    "noise_dim": 8,
    "condition_dim": 8,
    "embedding_dim": 8,
    "words_dim": 8,
    "small_width": 4,
    "stream_embedding_dim": 8,
    "stream_hidden_dim": 8,
}


def glam_config(*, cnn: bool, tiny: bool = False, **settings: Any) -> Config:
    """The paper's settings on CUB.

    Args:
        cnn: the redescription sees images by ResNet-152; a small one, if `tiny`.
        tiny: networks as small as they get.
        settings: others of `Config`.
    """
    return Config(
        dataset="cub",
        image_encoder="small",
        # A CNN that nothing uses would still take memory.
        stream_encoder="resnet152" if cnn and not tiny else "small",
        image_encoder_weights="none",
        stream_encoder_weights="none",
        **(_TINY if tiny else {}) | settings,
    )


def build_networks(config: Config, *, cnn: bool) -> dict[str, Any]:
    """What `GlamStage` asks for by name but the image encoder, which it doesn't use."""
    stream = from_config.build_stream(config, VOCABULARY_SIZE)
    return {
        "stem": from_config.build_stem(config, VOCABULARY_SIZE),
        "stream": stream if cnn else Pooled(stream.decoder),
        "glam": from_config.build_glam(config),
        "glam_ema": from_config.build_glam(config),
        "discriminators": from_config.build_discriminators(config),
    }


class Pooled:
    """STREAM with 4×4 mean colours, projected, in place of its CNN."""

    def __init__(self, decoder):
        self._decoder = decoder
        self._projection = keras.Variable(
            keras.random.normal((48, decoder.embedding_dim), seed=1), trainable=False
        )

    @property
    def variables(self) -> list[keras.Variable]:
        """The decoder's and the projection."""
        return [*self._decoder.variables, self._projection]

    def __call__(self, images, ids, training=False):
        """Images (B, H, W, 3) and ids (B, L) to logits (B, L, vocabulary)."""
        pooled = ops.average_pool(images, images.shape[1] // 4, images.shape[1] // 4)
        return self._decoder(
            ops.matmul(ops.reshape(pooled, (-1, 48)), self._projection), ids
        )
