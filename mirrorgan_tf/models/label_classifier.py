"""A backbone that learns what is labelled, before it learns from captions."""

from collections.abc import Mapping

import keras
from keras import layers

from mirrorgan_tf.models.backbones import build_backbone
from mirrorgan_tf.models.blocks import full_precision

__all__ = ["LabelClassifier"]


@keras.saving.register_keras_serializable(package="mirrorgan_tf")
class LabelClassifier(keras.Model):
    """Backbone "small" and a linear reading of each label.

    Args:
        values: label -> how many values it can take.
        width: of the backbone.

    Source: our own. The paper's CNNs know ImageNet's labels before they see a
    caption; a data set of one's own drawings has labels of its own.
    """

    def __init__(self, values: Mapping[str, int], width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.values = dict(values)
        self.width = width
        self.backbone = build_backbone("small", width=width, dtype=self.dtype_policy)
        self.reading = layers.Dense(sum(self.values.values()), dtype=self.dtype_policy)

    def build(self, input_shape):
        """Makes the variables."""
        self.backbone.build(input_shape)
        self.reading.build((None, self.backbone.pooled_dim))
        self.built = True

    def call(self, images, training=False):
        """Images (B, H, W, 3) in [-1, 1] to label -> logits (B, values), float32."""
        _, pooled = self.backbone(images, training=training)
        logits = full_precision(self.reading(pooled))
        borders = [0]
        for count in self.values.values():
            borders.append(borders[-1] + count)
        return {
            label: logits[:, low:high]
            for label, low, high in zip(
                self.values, borders[:-1], borders[1:], strict=True
            )
        }

    def get_config(self):
        """The constructor's arguments."""
        return super().get_config() | {"values": self.values, "width": self.width}
