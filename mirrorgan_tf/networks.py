"""Builds the networks of a run: every variable exists when these functions return."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.groups import NAMED_WEIGHTS
from mirrorgan_tf.downloads import check_weights_file
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.models.backbones import BACKBONES
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.feature_discriminator import FeatureDiscriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.label_classifier import LabelClassifier
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream, StreamDecoder, StreamEncoder
from mirrorgan_tf.models.text_encoder import TextEncoder

__all__ = [
    "TEXT_ENCODERS",
    "build_discriminators",
    "build_feature_discriminators",
    "build_glam",
    "build_image_encoder",
    "build_label_classifier",
    "build_stream",
    "check_encoders",
    "build_text_encoder",
    "text_encoder_class",
]

# The values of --text_encoder.
TEXT_ENCODERS: dict[str, type[TextEncoder]] = {"stem": Stem}


def check_encoders(config: Config) -> None:
    """Refuses unknown encoders; cheap, so that commands can call it first.

    Raises:
        UserError: a setting names no backbone or no text encoder.
    """
    text_encoder_class(config)
    for flag, name in (
        ("image_encoder", config.encoders.image_encoder),
        ("stream_encoder", config.encoders.stream_encoder),
    ):
        if name not in BACKBONES:
            raise UserError(
                f"--{flag}={name}: unknown; choose from {', '.join(BACKBONES)}"
            )


def build_label_classifier(
    config: Config, labels: Mapping[str, Sequence[str]]
) -> LabelClassifier:
    """The network of stage backbone; `labels`: label -> its values."""
    classifier = LabelClassifier(
        {label: len(values) for label, values in labels.items()},
        width=config.encoders.small_width,
    )
    classifier(_image(config.sizes[-1]))
    return classifier


def text_encoder_class(config: Config) -> type[TextEncoder]:
    """The class that `--text_encoder` names.

    Raises:
        UserError: there is no such text encoder.
    """
    name = config.encoders.text_encoder
    if name not in TEXT_ENCODERS:
        raise UserError(
            f"--text_encoder={name}: must be one of {', '.join(sorted(TEXT_ENCODERS))}"
        )
    return TEXT_ENCODERS[name]


def build_text_encoder(config: Config, vocabulary_size: int, dtype=None) -> TextEncoder:
    """The text encoder of the run.

    Args:
        config: settings of the run.
        vocabulary_size: of the captions, id 0 included.
        dtype: policy; None: Keras' global one.
    """
    encoder = text_encoder_class(config)(
        vocabulary_size,
        embedding_dim=config.encoders.embedding_dim,
        words_dim=config.encoders.words_dim,
        dropout=config.stem.dropout,
        dtype=dtype,
    )
    text = encoder.text_inputs(np.array([""]), _ids(config), np.ones((1,), np.int32))
    encoder(**text)
    return encoder


def build_image_encoder(config: Config) -> ImageEncoder:
    """DAMSM's image encoder; the caller sets weights "backbone"."""
    check_encoders(config)
    weights = config.encoders.image_encoder_weights
    with _weights_errors("image_encoder_weights", weights):
        encoder = ImageEncoder(
            backbone=config.encoders.image_encoder,
            weights="none" if weights == "backbone" else weights,
            width=config.encoders.small_width,
            words_dim=config.encoders.words_dim,
        )
    encoder(_image(config.sizes[-1]))
    encoder.backbone.trainable = weights != "backbone" and encoder.backbone.trainable
    return encoder


def build_stream(config: Config, vocabulary_size: int, dtype=None) -> Stream:
    """STREAM's encoder and decoder; `vocabulary_size` includes id 0.

    The caller sets weights "stem".
    """
    check_encoders(config)
    weights = config.encoders.stream_encoder_weights
    with _weights_errors("stream_encoder_weights", weights):
        encoder = StreamEncoder(
            backbone=config.encoders.stream_encoder,
            weights="none" if weights == "stem" else weights,
            width=config.encoders.small_width,
            feature_dim=config.encoders.stream_embedding_dim,
            dtype=dtype,
        )
    decoder = StreamDecoder(
        vocabulary_size,
        embedding_dim=config.encoders.stream_embedding_dim,
        hidden_dim=config.encoders.stream_hidden_dim,
        long_memory=config.encoders.stream_long_memory,
        dtype=dtype,
    )
    stream = Stream(encoder, decoder, dtype=dtype)
    stream(_image(config.sizes[-1]), _ids(config))
    if weights == "stem" and config.encoders.image_encoder_weights == "backbone":
        stream.encoder.backbone.trainable = False
    return stream


def build_glam(config: Config, dtype=None) -> Glam:
    """GLAM with conditioning augmentation; `dtype` is a policy."""
    glam = Glam(
        base_size=config.generator.base_size,
        stages=config.generator.scales,
        width=config.generator.width,
        residual_blocks=config.generator.residual_blocks,
        noise_dim=config.generator.noise_dim,
        condition_dim=config.generator.condition_dim,
        word_attention=config.generator.word_attention,
        sentence_attention=config.generator.sentence_attention,
        inner_width=config.generator.inner_width or None,
        dtype=dtype,
    )
    glam(
        ops.zeros((1, config.text.max_words, config.encoders.words_dim)),
        ops.zeros((1, config.encoders.words_dim)),
        ops.zeros((1, config.generator.noise_dim)),
        ops.zeros((1, config.generator.condition_dim)),
    )
    return glam


def build_discriminators(config: Config) -> list[Discriminator]:
    """One discriminator for each scale, the smallest first."""
    discriminators = []
    for size in config.sizes:
        discriminator = Discriminator(
            size,
            width=config.discriminators.width,
            spectral_norm=config.discriminators.spectral_norm,
            normalized=config.discriminators.normalization,
        )
        discriminator(_image(size), ops.zeros((1, config.encoders.words_dim)))
        discriminators.append(discriminator)
    return discriminators


def build_feature_discriminators(
    config: Config, map_shapes: Sequence[tuple[int, int]]
) -> list[FeatureDiscriminator]:
    """One for each of `config.feature_sizes`; shapes are (side in px, channels)."""
    discriminators = []
    for _ in config.feature_sizes:
        discriminator = FeatureDiscriminator(
            map_shapes,
            width=config.discriminators.feature_discriminator_width,
            spectral_norm=config.discriminators.spectral_norm,
            normalized=config.discriminators.normalization,
        )
        discriminator(
            [ops.zeros((1, side, side, channels)) for side, channels in map_shapes],
            ops.zeros((1, config.encoders.words_dim)),
        )
        discriminators.append(discriminator)
    return discriminators


@contextlib.contextmanager
def _weights_errors(flag: str, weights: str) -> Iterator[None]:
    """Turns weights that can't be loaded into a UserError that names the flag."""
    try:
        if weights not in NAMED_WEIGHTS:
            check_weights_file(weights)
        yield
    except (UserError, ValueError) as error:
        raise UserError(f"--{flag}={weights}: {error}") from error


def _image(size):
    return ops.zeros((1, size, size, 3))


def _ids(config):
    return ops.ones((1, config.text.max_words), "int32")
