"""Stage stream: STREAM learns to caption real images, by teacher forcing."""

import keras
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.distribution import global_mean

__all__ = ["StreamStage", "redescription_loss"]


def redescription_loss(
    stream: Stream,
    images: tf.Tensor,
    ids: tf.Tensor,
    lengths: tf.Tensor,
    *,
    with_end: bool,
    training: bool = False,
) -> tf.Tensor:
    """This replica's share of the mean cross entropy a word, in nats.

    Args:
        stream: encoder and decoder.
        images: (B, H, W, 3) in [-1, 1].
        ids: (B, L) int32.
        lengths: (B,) int32.
        with_end: also ask for the end (id 0) after the last word, so that
            redescriptions end; the paper's loss on generated images (eq. 10)
            does not.
        training: batch statistics in the encoder.
    """
    if with_end:
        ids = tf.pad(ids, [[0, 0], [0, 1]])
        lengths = lengths + 1
    per_word = caption_cross_entropy(stream(images, ids, training=training), ids)
    return global_mean(
        per_word, tf.sequence_mask(lengths, ids.shape[1], per_word.dtype)
    )


class StreamStage:
    """Pretraining of the redescription module (paper, section 3.3)."""

    name = "stream"

    def __init__(self, config: Config, stream: Stream):
        """Takes a built model; call inside the strategy's scope."""
        self.config = config
        self.stream = stream
        self.optimizer = keras.optimizers.Adam(config.stream_learning_rate)
        self.optimizer.build(stream.trainable_variables)

    @property
    def checkpointed(self) -> dict:
        """What a checkpoint of this stage holds."""
        return {"stream": self.stream, "optimizer": self.optimizer}

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates encoder and decoder on one replica's part of a batch."""
        del seed  # nothing here is random
        variables = self.stream.trainable_variables

        def gradients_of(part):
            with tf.GradientTape() as tape:
                loss = redescription_loss(
                    self.stream,
                    part["images"][-1],
                    part["ids"],
                    part["lengths"],
                    with_end=True,
                    training=True,
                )
            return {"cross_entropy": loss}, tape.gradient(loss, variables)

        parts = micro_batches(batch, self.config.accumulate_steps)
        losses, gradients = accumulate(parts, gradients_of)
        self.optimizer.apply(gradients, variables)
        return losses
