"""The networks of a run, built: every variable exists when these return."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.feature_discriminator import FeatureDiscriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.label_classifier import LabelClassifier
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream, StreamDecoder, StreamEncoder

__all__ = [
    "build_discriminators",
    "build_feature_discriminators",
    "build_glam",
    "build_image_encoder",
    "build_label_classifier",
    "build_stem",
    "build_stream",
]


def build_label_classifier(
    config: Config, labels: Mapping[str, Sequence[str]]
) -> LabelClassifier:
    """What stage backbone trains; `labels`: each with the values that it can take."""
    classifier = LabelClassifier(
        {label: len(values) for label, values in labels.items()},
        width=config.encoders.small_width,
    )
    classifier(_image(config.sizes[-1]))
    return classifier


def build_stem(config: Config, vocabulary_size: int) -> Stem:
    """STEM's text encoder; `vocabulary_size` counts id 0."""
    stem = Stem(
        vocabulary_size,
        embedding_dim=config.encoders.embedding_dim,
        words_dim=config.encoders.words_dim,
        dropout=config.stem.dropout,
    )
    stem(_ids(config), ops.ones((1,), "int32"))
    return stem


def build_image_encoder(config: Config) -> ImageEncoder:
    """DAMSM's image encoder; weights "backbone" are the caller's to set."""
    weights = config.encoders.image_encoder_weights
    encoder = ImageEncoder(
        backbone=config.encoders.image_encoder,
        weights="none" if weights == "backbone" else weights,
        width=config.encoders.small_width,
        words_dim=config.encoders.words_dim,
    )
    encoder(_image(config.sizes[-1]))
    encoder.backbone.trainable = weights != "backbone" and encoder.backbone.trainable
    return encoder


def build_stream(config: Config, vocabulary_size: int) -> Stream:
    """STREAM's encoder and decoder; `vocabulary_size` counts id 0.

    Weights "stem" are the caller's to set.
    """
    weights = config.encoders.stream_encoder_weights
    stream = Stream(
        StreamEncoder(
            backbone=config.encoders.stream_encoder,
            weights="none" if weights == "stem" else weights,
            width=config.encoders.small_width,
            feature_dim=config.encoders.stream_embedding_dim,
        ),
        StreamDecoder(
            vocabulary_size,
            embedding_dim=config.encoders.stream_embedding_dim,
            hidden_dim=config.encoders.stream_hidden_dim,
            long_memory=config.encoders.stream_long_memory,
        ),
    )
    stream(_image(config.sizes[-1]), _ids(config))
    if weights == "stem" and config.encoders.image_encoder_weights == "backbone":
        stream.encoder.backbone.trainable = False
    return stream


def build_glam(config: Config) -> Glam:
    """GLAM with conditioning augmentation."""
    glam = Glam(
        base_size=config.generator.base_size,
        stages=config.generator.scales,
        width=config.generator.width,
        residual_blocks=config.generator.residual_blocks,
        noise_dim=config.generator.noise_dim,
        condition_dim=config.generator.condition_dim,
        word_attention=config.generator.word_attention,
        sentence_attention=config.generator.sentence_attention,
    )
    glam(
        ops.zeros((1, config.text.max_words, config.encoders.words_dim)),
        ops.zeros((1, config.encoders.words_dim)),
        ops.zeros((1, config.generator.noise_dim)),
        ops.zeros((1, config.generator.condition_dim)),
    )
    return glam


def build_discriminators(config: Config) -> list[Discriminator]:
    """One discriminator a stage, the smallest image's first."""
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
    """One for each of `config.feature_sizes`, of maps of these (sides, channels)."""
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


def count_parameters(model: keras.Model) -> int:
    """Trainable parameters of a model."""
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def _image(size):
    return ops.zeros((1, size, size, 3))


def _ids(config):
    return ops.ones((1, config.text.max_words), "int32")
