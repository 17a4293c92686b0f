"""STREAM: images back to captions."""

import keras
import numpy as np
from keras import layers, ops

from mirrorgan_tf.models.backbones import build_backbone
from mirrorgan_tf.models.batch_norm import batch_normalization
from mirrorgan_tf.models.blocks import full_precision, recurrent_policy

__all__ = ["LongMemory", "Stream", "StreamDecoder", "StreamEncoder"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class StreamEncoder(keras.Model):
    """Images to the feature vector that the decoder reads first.

    Args:
        backbone: see `build_backbone`.
        weights: of the backbone.
        width: of backbone "small".
        feature_dim: length of the feature; the decoder's embedding_dim.

    Source: MirrorGAN, eq. 8 (the CNN); authors' code for the rest.
    """

    def __init__(
        self,
        backbone: str = "resnet152",
        weights: str = "imagenet",
        width: int = 32,
        feature_dim: int = 256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.backbone_name = backbone
        self.width = width
        self.feature_dim = feature_dim
        self.backbone = build_backbone(
            backbone, weights, width=width, dtype=self.dtype_policy
        )
        self.projection = layers.Dense(feature_dim, dtype=self.dtype_policy)
        # Keras momentum = 1 - PyTorch momentum, which is 0.01 here.
        self.norm = batch_normalization(momentum=0.99, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.backbone.build(input_shape)
        self.projection.build((None, self.backbone.pooled_dim))
        self.norm.build((None, self.feature_dim))
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) in [-1, 1], any size, to features (B, feature_dim)."""
        _, pooled = self.backbone(images, training=training)
        return self.project(pooled, training=training)

    def project(self, pooled, training=False):
        """The backbone's pooled vector to features (B, feature_dim)."""
        return self.norm(self.projection(pooled), training=training)

    def get_config(self):
        return super().get_config() | {
            "backbone": self.backbone_name,
            "weights": "none",
            "width": self.width,
            "feature_dim": self.feature_dim,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class LongMemory(keras.initializers.Initializer):
    """Initial biases of an LSTM that give part of the units a long memory.

    The LSTM reads the image once, before the first word. With the usual biases (forget
    gate 1, input gate 0) a unit keeps 73 % of it after one word and 4 % after ten, and
    training needs long to learn to keep more. These units start with forget gates of
    0.98 and input gates of 0.12.

    Args:
        share: of the units, 0 to 1; the others start with the usual biases.

    Source: our own; in the spirit of chrono initialization (Tallec and Ollivier, 2018).
    """

    def __init__(self, share: float):
        self.share = share

    def __call__(self, shape, dtype=None):
        """Biases (4 · units,): of the input, forget, cell and output gates."""
        units = shape[0] // 4
        long_units = round(self.share * units)
        input_gate, forget_gate = np.zeros(units), np.ones(units)
        input_gate[:long_units], forget_gate[:long_units] = -2.0, 4.0
        return ops.convert_to_tensor(
            np.concatenate([input_gate, forget_gate, np.zeros(2 * units)]),
            keras.backend.standardize_dtype(dtype),
        )

    def get_config(self):
        return {"share": self.share}


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class StreamDecoder(keras.Model):
    """LSTM that generates a caption word by word.

    Args:
        vocabulary_size: id 0, end and padding, included.
        embedding_dim: length of word vectors and of the image feature.
        hidden_dim: units of the LSTM.
        long_memory: share of the units with a long memory, see `LongMemory`.

    Source: MirrorGAN, eq. 8 to 10.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 256,
        hidden_dim: int = 512,
        long_memory: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.long_memory = long_memory
        self.embedding = layers.Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
            dtype=self.dtype_policy,
        )
        self.lstm = layers.LSTM(
            hidden_dim,
            return_sequences=True,
            bias_initializer=LongMemory(long_memory),
            # `LongMemory` sets the forget biases.
            unit_forget_bias=False,
            # XLA has no cuDNN LSTM, and step() must agree with call().
            use_cudnn=False,
            dtype=recurrent_policy(self.dtype_policy),
        )
        self.projection = layers.Dense(vocabulary_size, dtype=self.dtype_policy)

    def build(self, features_shape, ids_shape=None):
        if features_shape[-1] != self.embedding_dim:
            raise ValueError(
                f"features_shape={features_shape}; expected {self.embedding_dim} "
                "numbers, as many as a word vector has"
            )
        self.embedding.build((None, None))
        self.lstm.build((None, None, self.embedding_dim))
        self.projection.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, features, ids):
        """Teacher forcing: the inputs are [feature, word 1 .. word L-1].

        Args:
            features: (B, embedding_dim) of the images.
            ids: (B, L) int32; the last column is not used.

        Returns:
            Logits (B, L, vocabulary_size) of word 1 .. word L.
        """
        vectors = self.embedding(ids[:, :-1])
        first = ops.cast(features, vectors.dtype)[:, None, :]
        hidden = self.lstm(ops.concatenate([first, vectors], axis=1))
        return full_precision(self.projection(hidden))

    def initial_states(self, batch_size):
        """States (h, c), each (B, hidden_dim), before the image feature."""
        zeros = ops.zeros((batch_size, self.hidden_dim), dtype=self.lstm.compute_dtype)
        return zeros, zeros

    def step(self, inputs, states):
        """One word.

        Args:
            inputs: (B, embedding_dim), the feature or a word vector.
            states: (h, c), each (B, hidden_dim).

        Returns:
            Logits (B, vocabulary_size) and the new states (h, c).
        """
        inputs = ops.cast(inputs, self.lstm.compute_dtype)
        hidden, states = self.lstm.cell(inputs, list(states), training=False)
        return full_precision(self.projection(hidden)), tuple(states)

    def get_config(self):
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "long_memory": self.long_memory,
        }


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class Stream(keras.Model):
    """Encoder and decoder: images and captions to teacher-forced logits.

    Args:
        encoder: images to features.
        decoder: features to words.
    """

    def __init__(self, encoder: StreamEncoder, decoder: StreamDecoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def build(self, images_shape, ids_shape):
        # The parts of a loaded model are built already.
        if not self.encoder.built:
            self.encoder.build(images_shape)
        if not self.decoder.built:
            self.decoder.build((None, self.encoder.feature_dim), ids_shape)
        self.built = True

    def call(self, images, ids, training=False):
        """Images (B, H, W, 3) and ids (B, L) to logits (B, L, vocabulary_size)."""
        return self.decoder(self.encoder(images, training=training), ids)

    def get_config(self):
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The inverse of `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**(config | parts))
