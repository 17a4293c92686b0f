"""Steps of stages stem and stream as pure functions of arrays.

The mathematics of `StemStage.step` and `StreamStage.step`, with all captions of an
image in every step.
"""

from typing import Any

import jax
import keras
from keras import ops

from benchmarks.jax_glam import damsm_loss, mean_over_words
from mirrorgan_tf.config import Config
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream

__all__ = ["JaxStem", "JaxStream"]


class _Pretraining:
    """Networks that are trained together by one optimizer.

    Attributes:
        trained: nested, the variables that a step moves.
        frozen: none.
    """

    frozen: list = []

    def __init__(self, models: list[keras.Model], optimizer: keras.optimizers.Adam):
        weights = [v for model in models for v in model.trainable_variables]
        statistics = [v for model in models for v in model.non_trainable_variables]
        optimizer.build(weights)
        self._optimizer = optimizer
        self.trained = {
            "weights": weights,
            "statistics": statistics,
            "optimizer": optimizer.variables,
        }

    def values(self) -> tuple[dict, list]:
        """Values of the variables in `trained` and in `frozen`."""
        return jax.tree.map(lambda each: each.value, (self.trained, self.frozen))

    def step(self, trained: dict, frozen: list, batch: dict) -> tuple[dict, dict]:
        """One update; returns the new values and the losses."""

        def loss_and_statistics(weights):
            pairs = [
                *zip(self.trained["weights"], weights, strict=True),
                *zip(self.trained["statistics"], trained["statistics"], strict=True),
            ]
            scope = keras.StatelessScope(state_mapping=pairs)
            with scope:
                loss = self.loss(batch)
            return loss, [
                scope.get_current_value(v) for v in self.trained["statistics"]
            ]

        (loss, statistics), gradients = jax.value_and_grad(
            loss_and_statistics, has_aux=True
        )(trained["weights"])
        weights, optimizer = self._optimizer.stateless_apply(
            trained["optimizer"], self.clip(gradients), trained["weights"]
        )
        trained = {"weights": weights, "statistics": statistics, "optimizer": optimizer}
        return trained, {"loss": loss}

    def loss(self, batch: dict) -> Any:
        """Scalar loss of a batch, in a scope with the weights."""
        raise NotImplementedError

    def clip(self, gradients: list) -> list:
        """Gradients as the optimizer is to get them."""
        raise NotImplementedError


class JaxStem(_Pretraining):
    """STEM and DAMSM's image encoder."""

    def __init__(self, config: Config, *, stem: Stem, image_encoder: ImageEncoder):
        """Takes built models."""
        self._config, self._stem, self._image_encoder = config, stem, image_encoder
        rate = keras.optimizers.schedules.CosineDecay(
            config.stem.learning_rate, config.stem.steps
        )
        optimizer = keras.optimizers.Adam(rate, beta_1=0.5)
        super().__init__([stem, image_encoder], optimizer)

    def loss(self, batch):
        """Sum of the DAMSM losses; sentences of all captions, words of one."""
        each = batch["all_ids"].shape[1]
        ids = ops.reshape(batch["all_ids"], (-1, batch["all_ids"].shape[-1]))
        words, sentence, _ = self._stem(ids, ops.reshape(batch["all_lengths"], (-1,)))
        words = ops.reshape(words, (-1, each, *words.shape[1:]))
        sentence = ops.reshape(sentence, (-1, each, sentence.shape[-1]))
        rows = ops.arange(words.shape[0])
        regions, code = self._image_encoder(batch["images"][-1], training=True)
        return damsm_loss(
            self._config,
            regions,
            code,
            batch | {"words": words[rows, batch["caption"]]},
            sentence,
        )

    def clip(self, gradients):
        """Clips the norm of STEM's gradient."""
        count = len(self._stem.trainable_variables)
        text = _clip(gradients[:count], self._config.stem.gradient_clip)
        return text + gradients[count:]


class JaxStream(_Pretraining):
    """STREAM."""

    def __init__(self, config: Config, *, stream: Stream):
        """Takes a built model."""
        self._config, self._stream = config, stream
        rate = keras.optimizers.schedules.CosineDecay(
            config.stream.learning_rate, config.stream.steps
        )
        super().__init__([stream], keras.optimizers.Adam(rate))

    def loss(self, batch):
        """Cross entropy of all captions of real images, with their ends."""
        each = batch["all_ids"].shape[1]
        ids = ops.reshape(batch["all_ids"], (-1, batch["all_ids"].shape[-1]))
        ids = ops.pad(ids, ((0, 0), (0, 1)))
        lengths = ops.reshape(batch["all_lengths"], (-1,)) + 1
        features = self._stream.encoder(batch["images"][-1], training=True)
        features = ops.repeat(features, each, axis=0)
        return mean_over_words(self._stream.decoder(features, ids), ids, lengths)

    def clip(self, gradients):
        """Clips the norm of all gradients."""
        return _clip(gradients, self._config.stream.gradient_clip)


def _clip(gradients, bound):
    norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    scale = ops.minimum(1.0, bound / ops.maximum(norm, 1e-12))
    return [gradient * scale for gradient in gradients]
