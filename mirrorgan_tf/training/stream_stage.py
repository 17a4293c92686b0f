"""Stage stream: STREAM learns to caption real images, by teacher forcing."""

import keras
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.captions import all_captions, captions_each
from mirrorgan_tf.training.distribution import clip_global_gradient, global_mean
from mirrorgan_tf.training.schedules import learning_rate

__all__ = [
    "StreamStage",
    "captioning_loss",
    "decoding_loss",
    "redescription_loss",
]


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
        ids, lengths = _with_end(ids, lengths)
    return _mean_a_word(stream(images, ids, training=training), ids, lengths)


def decoding_loss(
    stream: Stream,
    features: tf.Tensor,
    ids: tf.Tensor,
    lengths: tf.Tensor,
) -> tf.Tensor:
    """As `redescription_loss` without ends, from the encoder's features (B, D)."""
    return _mean_a_word(stream.decoder(features, ids), ids, lengths)


def captioning_loss(stream: Stream, batch: dict, *, training: bool) -> tf.Tensor:
    """As `redescription_loss`, of all captions of a batch, with their ends.

    Each image is looked at once.

    Args:
        stream: encoder and decoder.
        batch: from the pipeline.
        training: batch statistics in the encoder.
    """
    ids, lengths = _with_end(*all_captions(batch))
    features = stream.encoder(batch["images"][-1], training=training)
    features = tf.repeat(features, captions_each(batch), axis=0)
    return _mean_a_word(stream.decoder(features, ids), ids, lengths)


def _with_end(ids, lengths):
    return tf.pad(ids, [[0, 0], [0, 1]]), lengths + 1


def _mean_a_word(logits, ids, lengths):
    per_word = caption_cross_entropy(logits, ids)
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
        self.optimizer = keras.optimizers.Adam(learning_rate(config, self.name))
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
                loss = captioning_loss(self.stream, part, training=True)
            return {"cross_entropy": loss}, tape.gradient(loss, variables)

        parts = micro_batches(batch, self.config.run.accumulate_steps)
        losses, gradients = accumulate(parts, gradients_of)
        # Not without need: replicas sum their gradients for it once more.
        if self.config.stream.gradient_clip:
            gradients, norm = clip_global_gradient(
                gradients, self.config.stream.gradient_clip
            )
            losses |= {"gradient_norm": norm}
        self.optimizer.apply(gradients, variables)
        return losses
