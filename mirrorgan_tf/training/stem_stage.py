"""Stage stem: the text encoder and DAMSM's image encoder learn matching embeddings."""

import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.damsm import damsm_losses
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.training.captions import all_captions, captions_per_image
from mirrorgan_tf.training.distribution import (
    example_uniform,
    gather_examples,
    global_mean,
)
from mirrorgan_tf.training.optimizers import clip_gradients, make_optimizer
from mirrorgan_tf.training.stage import Stage

__all__ = ["StemStage"]


class StemStage(Stage):
    """Pretraining of the text encoder (AttnGAN's DAMSM)."""

    name = "stem"

    def __init__(self, config: Config, stem: TextEncoder, image_encoder: ImageEncoder):
        """Takes built models; call inside the strategy's scope."""
        self.config = config
        self.stem = stem
        self.image_encoder = image_encoder
        self.optimizer = make_optimizer(
            config, "stem", stem.trainable_variables + image_encoder.trainable_variables
        )

    @property
    def checkpointed(self) -> dict:
        """See `Stage`."""
        return {
            "stem": self.stem,
            "image_encoder": self.image_encoder,
            "optimizer": self.optimizer,
        }

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates both encoders; words are of the first caption, sentences of all."""
        text_variables = self.stem.trainable_variables
        image_variables = self.image_encoder.trainable_variables
        text = all_captions(batch["text"])
        per_image = captions_per_image(batch)
        dropout_uniform = example_uniform(self.stem.dropout_shape(text), seed=seed)
        with tf.GradientTape() as tape:
            words, sentence, padding_mask = self.stem(
                **text, dropout_uniform=dropout_uniform
            )
            regions, code = self.image_encoder(batch["images"][-1], training=True)
            losses = damsm_losses(
                self.config.losses,
                regions=regions,
                code=code,
                words=words[::per_image],
                sentence=tf.reshape(sentence, [-1, per_image, sentence.shape[-1]]),
                padding_mask=padding_mask[::per_image],
                class_ids=batch["class_ids"],
                mean=global_mean,
                gather=gather_examples,
            )
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, text_variables + image_variables)
        # AttnGAN clips the gradient of the text encoder alone.
        text_gradients, norm = clip_gradients(
            gradients[: len(text_variables)], self.config.stem.gradient_clip
        )
        self.optimizer.apply(
            text_gradients + gradients[len(text_variables) :],
            text_variables + image_variables,
        )
        return losses | {"total": total} | norm
