"""Stage backbone: a small CNN learns labels, in place of ImageNet weights."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.models.label_classifier import LabelClassifier
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.optimizers import make_optimizer
from mirrorgan_tf.training.stage import Stage

__all__ = ["BackboneStage"]

# Smoothing brings the codes of images with the same label closer together, which makes
# them easier to match with sentences.
_LABEL_SMOOTHING = 0.1


class BackboneStage(Stage):
    """Pretraining of backbone "small" on labels of the training images."""

    name = "backbone"

    def __init__(
        self,
        config: Config,
        classifier: LabelClassifier,
        codes: Mapping[str, np.ndarray],
    ):
        """Takes a built model, and for each label its integer values (N,).

        Row i of `codes` belongs to training image i.
        """
        self.config = config
        self.classifier = classifier
        self._codes = {label: tf.constant(values) for label, values in codes.items()}
        self.optimizer = make_optimizer(
            config, "backbone", classifier.trainable_variables
        )

    @property
    def checkpointed(self) -> dict:
        """See `Stage`."""
        return {"classifier": self.classifier, "optimizer": self.optimizer}

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates the classifier; `index` gives the rows of the labels."""
        del seed  # Nothing here is random.
        variables = self.classifier.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.classifier(batch["images"][-1], training=True)
            losses = {
                label: global_mean(self._cross_entropy(batch, label, logits[label]))
                for label in logits
            }
            total = tf.add_n(list(losses.values()))
        self.optimizer.apply(tape.gradient(total, variables), variables)
        return {"cross_entropy": total}

    def _cross_entropy(self, batch, label, logits):
        codes = tf.gather(self._codes[label], batch["index"])
        return keras.losses.categorical_crossentropy(
            tf.one_hot(codes, logits.shape[-1]),
            logits,
            from_logits=True,
            label_smoothing=_LABEL_SMOOTHING,
        )
