"""Stage glam: discriminators and generator in turn, STEM and STREAM frozen."""

import keras
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.kl import kl_to_standard_normal
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.rematerialization import rematerialize
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.ops.adam import Adam
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.adversarial import adversarial_loss, discriminator_loss
from mirrorgan_tf.training.augmentation import DRAWS, augment
from mirrorgan_tf.training.distribution import (
    example_normal,
    example_uniform,
    global_mean,
    next_example,
)
from mirrorgan_tf.training.ema import start_average, update_average
from mirrorgan_tf.training.frozen_maps import FrozenMaps
from mirrorgan_tf.training.schedules import glam_learning_rate
from mirrorgan_tf.training.stem_stage import damsm_losses
from mirrorgan_tf.training.stream_stage import (
    decoding_loss,
)

__all__ = ["GlamStage"]

# Rows of the augmentation parameters: real images, generated images when a
# discriminator is updated, and generated images when the generator is.
_REAL, _FAKE, _JUDGED = range(3)


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
        self.feature_discriminators = []
        if config.feature_sizes:
            self.feature_discriminators = networks.build_feature_discriminators(
                config,
                self._frozen_maps().map_shapes(
                    config.discriminators.feature_discriminator
                ),
            )
        if config.run.remat:
            # The generator's activations stay in memory during the discriminators'
            # updates.
            rematerialize(glam)
        self.generator_optimizer = Adam(
            glam_learning_rate(config, config.glam.generator_learning_rate),
            beta_1=config.glam.adam_beta1,
        )
        self.generator_optimizer.build(glam.trainable_variables)
        self.discriminator_optimizers = []
        for discriminator in self._all_discriminators:
            optimizer = Adam(
                glam_learning_rate(config, config.glam.discriminator_learning_rate),
                beta_1=config.glam.adam_beta1,
            )
            optimizer.build(discriminator.trainable_variables)
            self.discriminator_optimizers.append(optimizer)

    @classmethod
    def from_config(cls, config: Config, vocabulary_size: int) -> "GlamStage":
        """With all networks new, as the settings describe them."""
        return cls(
            config,
            stem=networks.build_stem(config, vocabulary_size),
            stream=networks.build_stream(config, vocabulary_size),
            image_encoder=networks.build_image_encoder(config),
            glam=networks.build_glam(config),
            glam_ema=networks.build_glam(config),
            discriminators=networks.build_discriminators(config),
        )

    @property
    def _all_discriminators(self):
        return [*self.discriminators, *self.feature_discriminators]

    @property
    def checkpointed(self) -> dict:
        """What a checkpoint of this stage holds; the frozen parts have theirs."""
        objects = {
            "glam": self.glam,
            "glam_ema": self.glam_ema,
            "generator_optimizer": self.generator_optimizer,
            "discriminators": self.discriminators,
            "discriminator_optimizers": self.discriminator_optimizers,
        }
        if self.feature_discriminators:
            objects["feature_discriminators"] = self.feature_discriminators
        return objects

    def after_step(self, step: tf.Tensor) -> None:
        """Moves the average, in cross-replica context."""
        update_average(
            self.glam_ema,
            self.glam,
            decay=self.config.glam.ema_decay,
            step=step,
            warm_up=self.config.glam.ema_warm_up,
        )

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates each discriminator, then the generator against them."""
        words, sentence = self.stem(batch["ids"], batch["lengths"])
        generator_inputs = {
            "words": words,
            "sentence": sentence,
            "padding_mask": padding_mask_from_lengths(
                batch["lengths"], self.config.text.max_words
            ),
            **self._noise(batch["ids"].shape[0], seed),
        }
        batch = batch | self._draws(batch["ids"].shape, seed)
        if self.config.run.accumulate_steps > 1:
            return self._accumulated_step(batch, generator_inputs)
        variables = self.glam.trainable_variables
        frozen_maps = self._frozen_maps(batch, _FAKE)
        with tf.GradientTape() as tape:
            outputs = self.glam(**generator_inputs, training=True)
            # Recorded, since the generator's losses need the same maps.
            fake = self._discriminator_inputs(
                outputs["images"], batch, _FAKE, frozen_maps
            )
            with tape.stop_recording():
                losses = self._update_discriminators(batch, fake, sentence)
            generator_losses, total = self.generator_loss(
                outputs, batch, words, sentence, training=True, frozen_maps=frozen_maps
            )
        self.generator_optimizer.apply(tape.gradient(total, variables), variables)
        return losses | generator_losses

    def _accumulated_step(self, batch, generator_inputs):
        """Makes the images twice: all discriminators' micro-batches come first."""
        parts = micro_batches(
            (batch, generator_inputs), self.config.run.accumulate_steps
        )
        variables = self.glam.trainable_variables

        def discriminators(part):
            batch, generator_inputs = part
            # The generator's averages move with its own update below.
            with keras.StatelessScope(initialize_variables=False):
                outputs = self.glam(**generator_inputs, training=True)
            fake = self._discriminator_inputs(
                outputs["images"], batch, _FAKE, self._frozen_maps(batch, _FAKE)
            )
            losses, gradients = {}, []
            for some, gradient in self._discriminator_gradients(
                batch, fake, generator_inputs["sentence"]
            ):
                losses |= some
                gradients.append(gradient)
            return losses, gradients

        def generator(part):
            batch, generator_inputs = part
            with tf.GradientTape() as tape:
                outputs = self.glam(**generator_inputs, training=True)
                losses, total = self.generator_loss(
                    outputs,
                    batch,
                    generator_inputs["words"],
                    generator_inputs["sentence"],
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
        outputs: dict,
        batch: dict,
        words: tf.Tensor,
        sentence: tf.Tensor,
        *,
        training,
        frozen_maps: FrozenMaps | None = None,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """This replica's shares of errG's terms, and of their weighted sum.

        errG = adversarial (all scales, both heads) + lambda · redescription of
        the last image (or of all) + KL [+ DAMSM loss: AttnGAN] [+ adversarial losses
        of feature discriminators]. The authors' code has no ½ before the adversarial
        terms, the paper (eq. 6) has.
        """
        config = self.config
        frozen_maps = frozen_maps or self._frozen_maps(batch, _FAKE)
        losses = {}
        weighted = []
        inputs = self._discriminator_inputs(
            outputs["images"], batch, _JUDGED, frozen_maps
        )
        for name, discriminator, of_images in inputs:
            losses[f"adversarial_{name}"] = loss = adversarial_loss(
                discriminator,
                of_images,
                sentence,
                training=training,
                kind=config.losses.adversarial_loss,
            )
            if discriminator in self.feature_discriminators:
                loss *= config.losses.feature_discriminator_weight
            weighted.append(loss)
        losses["kl"] = global_mean(
            kl_to_standard_normal(outputs["mu"], outputs["log_var"])
        )
        total = tf.add_n(weighted)
        total += config.losses.kl_weight * losses["kl"]
        if config.losses.redescription_weight:
            losses["redescription"] = self._redescribed(
                self._redescription_loss, outputs, batch, frozen_maps
            )
            total += config.losses.redescription_weight * losses["redescription"]
        if config.losses.damsm_weight:
            losses["damsm"] = self._damsm_loss(
                outputs, batch, words, sentence, frozen_maps
            )
            total += config.losses.damsm_weight * losses["damsm"]
        losses["generator"] = total
        return losses, total

    def _redescribed(self, loss, outputs, batch, frozen_maps):
        """A loss of the last image, or its mean over all scales."""
        images = outputs["images"]
        chosen = images[-1:] if self.config.losses.redescribe == "last" else images
        losses = [
            loss(images_at_scale, batch, frozen_maps) for images_at_scale in chosen
        ]
        return losses[0] if len(losses) == 1 else tf.add_n(losses) / len(losses)

    def _redescription_loss(self, images, batch, frozen_maps):
        _, pooled = frozen_maps.read("stream_encoder", images)
        features = self.stream.encoder.project(pooled)
        return decoding_loss(self.stream, features, batch["ids"], batch["lengths"])

    def _frozen_maps(self, batch=None, row=0):
        return FrozenMaps(
            self.config,
            image_encoder=self.image_encoder,
            stream=self.stream,
            shift_draws=batch["shift_draws"][:, row]
            if batch and self.config.encoders.frozen_view_shift
            else None,
        )

    def _discriminator_inputs(self, images, batch, row, frozen_maps):
        """(name, discriminator, its inputs) for each discriminator.

        Args:
            images: of all scales.
            batch: with the augmentation parameters, if there are augmentations.
            row: of these parameters.
            frozen_maps: of this step.
        """
        config = self.config
        images = self._augmented(images, batch, row)
        by_size = dict(zip(config.sizes, images, strict=True))
        return [
            (str(size), discriminator, by_size[size])
            for size, discriminator in zip(
                config.sizes, self.discriminators, strict=True
            )
        ] + [
            (
                f"features_{size}",
                discriminator,
                frozen_maps.maps(
                    config.discriminators.feature_discriminator, by_size[size]
                ),
            )
            for size, discriminator in zip(
                config.feature_sizes, self.feature_discriminators, strict=True
            )
        ]

    def _update_discriminators(self, batch, fake, sentence):
        losses = {}
        gradients = self._discriminator_gradients(batch, fake, sentence)
        for i, (some, gradient) in enumerate(gradients):
            losses |= some
            self._apply_to_discriminator(i, gradient)
        return losses

    def _discriminator_gradients(self, batch, fake, sentence):
        """The losses of one discriminator and its gradients after the other's."""
        config = self.config
        wrong, wrong_weights = next_example(sentence)
        real = self._discriminator_inputs(
            batch["images"], batch, _REAL, self._frozen_maps(batch, _REAL)
        )
        for (name, discriminator, real_inputs), (_, _, fake_inputs) in zip(
            real, fake, strict=True
        ):
            with tf.GradientTape() as tape:
                losses, total = discriminator_loss(
                    discriminator,
                    real_inputs,
                    fake_inputs,
                    sentence,
                    wrong,
                    wrong_weights,
                    training=True,
                    kind=config.losses.adversarial_loss,
                    r1_weight=config.losses.r1_weight,
                )
            yield (
                {f"{loss}_{name}": value for loss, value in losses.items()},
                tape.gradient(total, discriminator.trainable_variables),
            )

    def _apply_to_discriminator(self, i, gradients):
        variables = self._all_discriminators[i].trainable_variables
        self.discriminator_optimizers[i].apply(gradients, variables)

    def _damsm_loss(self, outputs, batch, words, sentence, frozen_maps):
        regions, code = self.image_encoder.project(
            *frozen_maps.read("image_encoder", outputs["images"][-1])
        )
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

    def _augmented(self, images, batch, whose):
        """Images of all scales as the discriminators are to see them."""
        names = self.config.augmentations
        if not names:
            return images
        draws = batch["image_draws"][:, whose]
        return [augment(images_at_scale, draws, names) for images_at_scale in images]

    def _draws(self, ids_shape, seed):
        """What is random beside the noise, of other seeds."""
        batch_size, words = ids_shape
        fold = tf.random.experimental.stateless_fold_in
        draws = {}
        if self.config.augmentations:
            draws["image_draws"] = example_uniform(
                (batch_size, 3, DRAWS), seed=fold(seed, 1)
            )
        if self.config.encoders.frozen_view_shift:
            draws["shift_draws"] = example_uniform(
                (batch_size, 2, 2), seed=fold(seed, 3)
            )
        return draws

    def _noise(self, batch_size, seed):
        config = self.config
        draws = example_normal(
            (batch_size, config.generator.noise_dim + config.generator.condition_dim),
            seed=seed,
        )
        return {
            "noise": draws[:, : config.generator.noise_dim],
            "condition_noise": draws[:, config.generator.noise_dim :],
        }
