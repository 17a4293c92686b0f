"""Stage glam: discriminators and generator in turn, STEM and STREAM frozen."""

import keras
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.adversarial import fake_loss, real_loss
from mirrorgan_tf.losses.kl import kl_to_standard_normal
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.distribution import (
    example_normal,
    global_mean,
    next_example,
)
from mirrorgan_tf.training.ema import start_average, update_average
from mirrorgan_tf.training.stem_stage import damsm_losses
from mirrorgan_tf.training.stream_stage import redescription_loss

__all__ = ["GlamStage", "discriminator_loss"]


def discriminator_loss(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    sentence: tf.Tensor,
    wrong_sentence: tf.Tensor,
    wrong_weights: tf.Tensor,
    *,
    training: bool,
) -> tf.Tensor:
    """This replica's share of errD of one scale, in nats.

    (real_u + real_c) / 2 + (fake_u + fake_c + wrong_c) / 3, each a mean binary
    cross entropy; `wrong` is a real image with another image's sentence.

    Args:
        discriminator: of this scale.
        real: (B, s, s, 3) in [-1, 1].
        fake: like `real`.
        sentence: (B, D), the condition: the sentence embedding, not s_ca.
        wrong_sentence: (B, D).
        wrong_weights: (B,), 0 where there is no wrong sentence.
        training: batch statistics.

    Source: the authors' code; the paper (eq. 7) has no wrong pairs.
    """
    real_features = discriminator.features(real, training=training)
    fake_features = discriminator.features(fake, training=training)

    def conditional(features, condition):
        return discriminator.conditional(features, condition, training=training)

    real_mean = global_mean(
        real_loss(discriminator.unconditional(real_features))
    ) + global_mean(real_loss(conditional(real_features, sentence)))
    fake_mean = (
        global_mean(fake_loss(discriminator.unconditional(fake_features)))
        + global_mean(fake_loss(conditional(fake_features, sentence)))
        + global_mean(
            fake_loss(conditional(real_features, wrong_sentence)), wrong_weights
        )
    )
    return real_mean / 2 + fake_mean / 3


class GlamStage:
    """Training of the generator (paper, section 3.4)."""

    name = "glam"

    def __init__(
        self,
        config: Config,
        *,
        stem: Stem,
        stream: Stream,
        image_encoder: ImageEncoder,
        glam: Glam,
        glam_ema: Glam,
        discriminators: list[Discriminator],
    ):
        """Takes built models; call inside the strategy's scope."""
        self.config = config
        self.stem = stem
        self.stream = stream
        self.image_encoder = image_encoder
        self.glam = glam
        self.glam_ema = glam_ema
        start_average(glam_ema, glam)
        self.discriminators = discriminators
        self.generator_optimizer = keras.optimizers.Adam(
            config.generator_learning_rate, beta_1=config.adam_beta1
        )
        self.generator_optimizer.build(glam.trainable_variables)
        self.discriminator_optimizers = []
        for discriminator in discriminators:
            optimizer = keras.optimizers.Adam(
                config.discriminator_learning_rate, beta_1=config.adam_beta1
            )
            optimizer.build(discriminator.trainable_variables)
            self.discriminator_optimizers.append(optimizer)

    @property
    def checkpointed(self) -> dict:
        """What a checkpoint of this stage holds; the frozen parts have theirs."""
        return {
            "glam": self.glam,
            "glam_ema": self.glam_ema,
            "generator_optimizer": self.generator_optimizer,
            "discriminators": self.discriminators,
            "discriminator_optimizers": self.discriminator_optimizers,
        }

    def after_step(self, step: tf.Tensor) -> None:
        """Moves the average, in cross-replica context."""
        update_average(self.glam_ema, self.glam, decay=self.config.ema_decay, step=step)

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates each discriminator, then the generator against them."""
        words, sentence = self.stem(batch["ids"], batch["lengths"])
        made_from = {
            "words": words,
            "sentence": sentence,
            "padding_mask": padding_mask_from_lengths(
                batch["lengths"], self.config.max_words
            ),
            **self._noise(batch["ids"].shape[0], seed),
        }
        if self.config.accumulate_steps > 1:
            return self._accumulated_step(batch, made_from)
        variables = self.glam.trainable_variables
        with tf.GradientTape() as tape:
            made = self.glam(**made_from, training=True)
            with tape.stop_recording():
                losses = self._update_discriminators(
                    batch["images"], made["images"], sentence
                )
            generator_losses, total = self.generator_loss(
                made, batch, words, sentence, training=True
            )
        self.generator_optimizer.apply(tape.gradient(total, variables), variables)
        return losses | generator_losses

    def _accumulated_step(self, batch, made_from):
        """Makes the images twice: all discriminators' micro-batches come first."""
        parts = micro_batches((batch, made_from), self.config.accumulate_steps)
        variables = self.glam.trainable_variables

        def discriminators(part):
            batch, made_from = part
            made = self.glam(**made_from, training=True)
            losses, gradients = {}, []
            for size, (loss, gradient) in zip(
                self.config.sizes,
                self._discriminator_gradients(
                    batch["images"], made["images"], made_from["sentence"]
                ),
                strict=True,
            ):
                losses[f"discriminator_{size}"] = loss
                gradients.append(gradient)
            return losses, gradients

        def generator(part):
            batch, made_from = part
            with tf.GradientTape() as tape:
                made = self.glam(**made_from, training=True)
                losses, total = self.generator_loss(
                    made,
                    batch,
                    made_from["words"],
                    made_from["sentence"],
                    training=True,
                )
            return losses, tape.gradient(total, variables)

        losses, gradients = accumulate(parts, discriminators)
        for i, gradient in enumerate(gradients):
            self._apply_to_discriminator(i, gradient)
        generator_losses, gradients = accumulate(parts, generator)
        self.generator_optimizer.apply(gradients, variables)
        return losses | generator_losses

    def generator_loss(
        self,
        made: dict,
        batch: dict,
        words: tf.Tensor,
        sentence: tf.Tensor,
        *,
        training,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """This replica's shares of errG's terms, and of their weighted sum.

        errG = adversarial (all scales, both heads) + lambda · redescription of
        the last image + KL [+ DAMSM loss: AttnGAN]. The authors' code has no ½
        before the adversarial terms, the paper (eq. 6) has.
        """
        config = self.config
        losses = {}
        for size, discriminator, images in zip(
            config.sizes, self.discriminators, made["images"], strict=True
        ):
            features = discriminator.features(images, training=training)
            logits = discriminator.conditional(features, sentence, training=training)
            losses[f"adversarial_{size}"] = global_mean(
                real_loss(discriminator.unconditional(features))
            ) + global_mean(real_loss(logits))
        losses["kl"] = global_mean(kl_to_standard_normal(made["mu"], made["log_var"]))
        total = tf.add_n([losses[f"adversarial_{size}"] for size in config.sizes])
        total += config.kl_weight * losses["kl"]
        if config.redescription_weight:
            losses["redescription"] = redescription_loss(
                self.stream,
                made["images"][-1],
                batch["ids"],
                batch["lengths"],
                with_end=False,
            )
            total += config.redescription_weight * losses["redescription"]
        if config.damsm_weight:
            losses["damsm"] = self._damsm_loss(made, batch, words, sentence)
            total += config.damsm_weight * losses["damsm"]
        losses["generator"] = total
        return losses, total

    def _update_discriminators(self, real, fake, sentence):
        losses = {}
        gradients = self._discriminator_gradients(real, fake, sentence)
        for i, (loss, gradient) in enumerate(gradients):
            losses[f"discriminator_{self.config.sizes[i]}"] = loss
            self._apply_to_discriminator(i, gradient)
        return losses

    def _discriminator_gradients(self, real, fake, sentence):
        """One loss and its gradients after the other."""
        wrong, wrong_weights = next_example(sentence)
        for discriminator, real_images, fake_images in zip(
            self.discriminators, real, fake, strict=True
        ):
            with tf.GradientTape() as tape:
                loss = discriminator_loss(
                    discriminator,
                    real_images,
                    fake_images,
                    sentence,
                    wrong,
                    wrong_weights,
                    training=True,
                )
            yield loss, tape.gradient(loss, discriminator.trainable_variables)

    def _apply_to_discriminator(self, i, gradients):
        variables = self.discriminators[i].trainable_variables
        self.discriminator_optimizers[i].apply(gradients, variables)

    def _damsm_loss(self, made, batch, words, sentence):
        regions, code = self.image_encoder(made["images"][-1])
        return tf.add_n(
            list(
                damsm_losses(
                    self.config,
                    regions=regions,
                    code=code,
                    words=words,
                    sentence=sentence,
                    lengths=batch["lengths"],
                    class_ids=batch["class_ids"],
                ).values()
            )
        )

    def _noise(self, batch_size, seed):
        config = self.config
        draws = example_normal(
            (batch_size, config.noise_dim + config.condition_dim),
            seed=seed,
        )
        return {
            "noise": draws[:, : config.noise_dim],
            "condition_noise": draws[:, config.noise_dim :],
        }
