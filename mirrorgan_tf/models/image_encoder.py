"""DAMSM's image encoder: images to region features and a global code."""

import keras
from keras import layers, ops

from mirrorgan_tf.models.backbones import build_backbone

__all__ = ["ImageEncoder"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class ImageEncoder(keras.Model):
    """Maps regions and whole images to the space of words and sentences.

    Args:
        backbone: see `build_backbone`.
        weights: of the backbone.
        width: of backbone "small".
        words_dim: D.

    Source: AttnGAN, section 3.2.
    """

    def __init__(
        self,
        backbone: str = "inception_v3",
        weights: str = "imagenet",
        width: int = 32,
        words_dim: int = 256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.backbone_name = backbone
        self.width = width
        self.words_dim = words_dim
        self.backbone = build_backbone(
            backbone, weights, width=width, dtype=self.dtype_policy
        )
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.region_projection = layers.Dense(
            words_dim,
            use_bias=False,
            kernel_initializer=uniform,
            dtype=self.dtype_policy,
        )
        self.code_projection = layers.Dense(
            words_dim, kernel_initializer=uniform.clone(), dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.backbone.build(input_shape)
        self.region_projection.build((None, None, None, self.backbone.region_dim))
        self.code_projection.build((None, self.backbone.pooled_dim))
        self.built = True

    def call(self, images, training=False):
        """Encodes images.

        Args:
            images: (B, H, W, 3) in [-1, 1], any size.
            training: batch statistics in a trainable backbone.

        Returns:
            regions (B, R, D) and code (B, D).
        """
        return self.project(*self.backbone(images, training=training))

    def project(self, feature_map, pooled):
        """Feature map and pooled vector of the backbone to regions and code."""
        regions = self.region_projection(feature_map)
        regions = ops.reshape(
            regions, (-1, regions.shape[1] * regions.shape[2], self.words_dim)
        )
        return regions, self.code_projection(pooled)

    def get_config(self):
        return super().get_config() | {
            "backbone": self.backbone_name,
            "weights": "none",
            "width": self.width,
            "words_dim": self.words_dim,
        }
