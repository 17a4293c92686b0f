"""A small one of every model, and what to call it with."""

import numpy as np

from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.label_classifier import LabelClassifier
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream, StreamDecoder, StreamEncoder

SMALL = {"backbone": "small", "weights": "none", "width": 2}


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


IDS = np.array([[1, 2, 3], [4, 0, 0]], np.int32)
LENGTHS = np.array([3, 1], np.int32)
IMAGES = np.tanh(_normal(2, 16, 16, 3))
MODELS = {
    "stem": (
        lambda: Stem(5, embedding_dim=4, words_dim=6, dropout=0.3),
        (IDS, LENGTHS),
    ),
    "glam": (
        lambda: Glam(16, 2, width=2, residual_blocks=1, noise_dim=3, condition_dim=4),
        (_normal(2, 3, 6), _normal(2, 6), _normal(2, 3), _normal(2, 4)),
    ),
    "attngan": (
        lambda: Glam(
            8,
            stages=2,
            width=2,
            residual_blocks=0,
            noise_dim=3,
            condition_dim=4,
            sentence_attention=False,
            inner_width=3,
        ),
        (_normal(2, 3, 6), _normal(2, 6), _normal(2, 3), _normal(2, 4)),
    ),
    "discriminator": (lambda: Discriminator(16, width=2), (IMAGES, _normal(2, 6))),
    "spectral": (
        lambda: Discriminator(16, width=2, spectral_norm=True),
        (IMAGES, _normal(2, 6)),
    ),
    "image_encoder": (lambda: ImageEncoder(**SMALL, words_dim=6), (IMAGES,)),
    "label_classifier": (
        lambda: LabelClassifier({"color": 3, "size": 2}, width=2),
        (IMAGES,),
    ),
    "stream": (
        lambda: Stream(
            StreamEncoder(**SMALL, feature_dim=4),
            StreamDecoder(5, 4, hidden_dim=3, long_memory=0.5),
        ),
        (IMAGES, IDS),
    ),
}
