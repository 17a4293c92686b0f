"""Stage stream: STREAM learns to caption real images, by teacher forcing."""

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.caption import append_end, mean_word_loss
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.captions import all_captions, captions_per_image
from mirrorgan_tf.training.distribution import global_mean
from mirrorgan_tf.training.optimizers import clip_gradients, make_optimizer
from mirrorgan_tf.training.stage import Stage

__all__ = ["StreamStage", "captioning_loss"]


def captioning_loss(stream: Stream, batch: dict, *, training: bool) -> tf.Tensor:
    """This replica's share of the cross entropy of all captions with their ends.

    Each image is encoded once. A mean over words, in nats.

    Args:
        stream: encoder and decoder.
        batch: with images, caption_ids and caption_lengths.
        training: whether to use the statistics of the batch in the encoder.
    """
    ids, lengths = append_end(
        all_captions(batch["caption_ids"]), all_captions(batch["caption_lengths"])
    )
    features = stream.encoder(batch["images"][-1], training=training)
    features = tf.repeat(features, captions_per_image(batch), axis=0)
    return mean_word_loss(stream.decoder(features, ids), ids, lengths, mean=global_mean)


class StreamStage(Stage):
    """Pretraining of the redescription module (paper, section 3.3)."""

    name = "stream"

    def __init__(self, config: Config, stream: Stream):
        """Takes a built model; call inside the strategy's scope."""
        self.config = config
        self.stream = stream
        self.optimizer = make_optimizer(config, "stream", stream.trainable_variables)

    @property
    def checkpointed(self) -> dict:
        """See `Stage`."""
        return {"stream": self.stream, "optimizer": self.optimizer}

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates encoder and decoder."""
        del seed  # Nothing here is random.
        variables = self.stream.trainable_variables

        def gradients_of(part):
            with tf.GradientTape() as tape:
                loss = captioning_loss(self.stream, part, training=True)
            return {"cross_entropy": loss}, tape.gradient(loss, variables)

        parts = micro_batches(batch, self.config.run.accumulate_steps)
        losses, gradients = accumulate(parts, gradients_of)
        gradients, norm = clip_gradients(gradients, self.config.stream.gradient_clip)
        self.optimizer.apply(gradients, variables)
        return losses | norm
