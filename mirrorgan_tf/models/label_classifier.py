"""A classifier that trains a backbone on labels, before it learns from captions."""

import itertools
from collections.abc import Mapping

import keras
from keras import layers, ops

from mirrorgan_tf.models.backbones import build_backbone
from mirrorgan_tf.models.blocks import full_precision

__all__ = ["LabelClassifier"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class LabelClassifier(keras.Model):
    """Backbone "small" and a linear classifier for each label.

    Args:
        values: label -> number of its values.
        width: of the backbone.

    Source: our own. The paper's CNNs are trained on ImageNet's labels before they are
    trained on captions; data sets of drawings need labels of their own.
    """

    def __init__(self, values: Mapping[str, int], width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.values = dict(values)
        self.width = width
        self.backbone = build_backbone("small", width=width, dtype=self.dtype_policy)
        self.output_layer = layers.Dense(
            sum(self.values.values()), dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.backbone.build(input_shape)
        self.output_layer.build((None, self.backbone.pooled_dim))
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) in [-1, 1] to label -> logits (B, values), float32."""
        _, pooled = self.backbone(images, training=training)
        logits = full_precision(self.output_layer(pooled))
        ends = list(itertools.accumulate(self.values.values()))
        return dict(zip(self.values, ops.split(logits, ends[:-1], axis=1), strict=True))

    def get_config(self):
        return super().get_config() | {"values": self.values, "width": self.width}
