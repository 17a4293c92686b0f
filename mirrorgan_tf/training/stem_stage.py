"""Stage stem: STEM and DAMSM's image encoder learn to find each other."""

import keras
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.damsm import (
    matching_losses,
    sentence_similarity,
    word_similarity,
)
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.training.captions import all_captions, captions_each
from mirrorgan_tf.training.distribution import (
    clip_global_gradient,
    example_uniform,
    gather_examples,
    global_mean,
)
from mirrorgan_tf.training.schedules import learning_rate

__all__ = ["StemStage", "damsm_losses"]


def damsm_losses(
    config: Config,
    *,
    regions: tf.Tensor,
    code: tf.Tensor,
    words: tf.Tensor,
    sentence: tf.Tensor,
    lengths: tf.Tensor,
    class_ids: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """This replica's shares of the four DAMSM losses (AttnGAN, section 3.2).

    Every image of the global batch is matched with every caption of it. Each
    replica works out its part of the batch's rows (image to text) and columns
    (text to image).

    Args:
        config: for gamma 1 to 3.
        regions: (B, R, D) of the images.
        code: (B, D) of the images.
        words: (B, L, D) of the captions.
        sentence: (B, D) of the captions; or (B, k, D) of k captions an image, whose
            losses are averaged.
        lengths: (B,) words of each caption.
        class_ids: (B,) int32; others of the same class are no negatives.

    Returns:
        Scalars by name.
    """
    # Here: what is gathered may have no static shape.
    sentences = tf.unstack(sentence, axis=1) if len(sentence.shape) > 2 else [sentence]
    regions, code, words, lengths, class_ids, *sentences = (
        gather_examples(tensor)
        for tensor in (regions, code, words, lengths, class_ids, *sentences)
    )
    mask = padding_mask_from_lengths(lengths, config.text.max_words)
    by_word = matching_losses(
        word_similarity(
            regions,
            words,
            mask,
            gamma1=config.losses.gamma1,
            gamma2=config.losses.gamma2,
            gamma3=config.losses.gamma3,
        ),
        class_ids,
    )
    by_sentence = tf.reduce_mean(
        [
            matching_losses(
                sentence_similarity(code, one, gamma3=config.losses.gamma3), class_ids
            )
            for one in sentences
        ],
        axis=0,
    )
    return {
        "words_image_to_text": global_mean(by_word[0]),
        "words_text_to_image": global_mean(by_word[1]),
        "sentence_image_to_text": global_mean(by_sentence[0]),
        "sentence_text_to_image": global_mean(by_sentence[1]),
    }


class StemStage:
    """Pretraining of the text encoder (AttnGAN's DAMSM)."""

    name = "stem"

    def __init__(self, config: Config, stem: Stem, image_encoder: ImageEncoder):
        """Takes built models; call inside the strategy's scope."""
        self.config = config
        self.stem = stem
        self.image_encoder = image_encoder
        self.optimizer = keras.optimizers.Adam(
            learning_rate(config, self.name), beta_1=0.5
        )
        self.optimizer.build(
            stem.trainable_variables + image_encoder.trainable_variables
        )

    @property
    def checkpointed(self) -> dict:
        """What a checkpoint of this stage holds."""
        return {
            "stem": self.stem,
            "image_encoder": self.image_encoder,
            "optimizer": self.optimizer,
        }

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates both encoders on one replica's part of a batch."""
        text_variables = self.stem.trainable_variables
        image_variables = self.image_encoder.trainable_variables
        ids, lengths = all_captions(batch)
        each = captions_each(batch)
        uniform = example_uniform(
            (*ids.shape, self.config.encoders.embedding_dim),
            seed=seed,
        )
        with tf.GradientTape() as tape:
            words, sentence = self.stem(ids, lengths, dropout_uniform=uniform)
            regions, code = self.image_encoder(batch["images"][-1], training=True)
            losses = damsm_losses(
                self.config,
                regions=regions,
                code=code,
                words=words[::each],
                sentence=tf.reshape(sentence, [-1, each, sentence.shape[-1]]),
                lengths=batch["lengths"],
                class_ids=batch["class_ids"],
            )
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, text_variables + image_variables)
        text_gradients, norm = clip_global_gradient(
            gradients[: len(text_variables)], self.config.stem.gradient_clip
        )
        self.optimizer.apply(
            text_gradients + gradients[len(text_variables) :],
            text_variables + image_variables,
        )
        return losses | {"total": total, "gradient_norm": norm}
