"""Stage glam: discriminators and generator in turn, STEM and STREAM frozen."""

import dataclasses

import keras
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.registry import GENERATOR_LOSS
from mirrorgan_tf.losses.terms import GeneratorLossInputs, ScoredImages, sum_terms
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.rematerialization import rematerialize
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.models.text_encoder import TextEncoder
from mirrorgan_tf.training.accumulation import accumulate, micro_batches
from mirrorgan_tf.training.adversarial import discriminator_loss, lazy_r1, r1_is_lazy
from mirrorgan_tf.training.augmentation import NUMBERS_PER_IMAGE, augment
from mirrorgan_tf.training.captions import first_captions
from mirrorgan_tf.training.distribution import (
    example_normal,
    example_uniform,
    gather_examples,
    global_mean,
    next_example,
)
from mirrorgan_tf.training.ema import update_average
from mirrorgan_tf.training.frozen_maps import FrozenMaps
from mirrorgan_tf.training.optimizers import make_optimizer
from mirrorgan_tf.training.stage import Stage

__all__ = ["GlamStage"]

# Indices of random numbers on their second axis: augmentations use different ones for
# real images, for generated images when a discriminator is updated, and for generated
# images when the generator is.
_REAL, _FAKE, _GENERATOR = range(3)


@dataclasses.dataclass
class _GeneratorPass:
    """The generator's outputs for a micro-batch, with what is computed from them."""

    # Has recorded the pass; enter it again to record losses.
    tape: tf.GradientTape
    outputs: dict
    frozen_maps: FrozenMaps
    scored: list[ScoredImages]


class GlamStage(Stage):
    """Training of the generator (paper, section 3.4)."""

    name = "glam"

    def __init__(
        self,
        config: Config,
        *,
        stem: TextEncoder,
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
        glam_ema.set_weights(glam.get_weights())
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
        self.generator_optimizer = make_optimizer(
            config, "generator", glam.trainable_variables
        )
        self.discriminator_optimizers = [
            make_optimizer(config, "discriminator", discriminator.trainable_variables)
            for discriminator in self.all_discriminators
        ]

    @classmethod
    def from_config(cls, config: Config, vocabulary_size: int) -> "GlamStage":
        """A stage with new networks of the sizes in the settings."""
        return cls(
            config,
            stem=networks.build_text_encoder(config, vocabulary_size),
            stream=networks.build_stream(config, vocabulary_size),
            image_encoder=networks.build_image_encoder(config),
            glam=networks.build_glam(config),
            glam_ema=networks.build_glam(config),
            discriminators=networks.build_discriminators(config),
        )

    @property
    def all_discriminators(self) -> list[keras.Model]:
        """Those of images, ascending in size, then those of feature maps."""
        return [*self.discriminators, *self.feature_discriminators]

    @property
    def checkpointed(self) -> dict:
        """See `Stage`; the frozen networks are in the other stages' checkpoints."""
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
        """Moves the averaged generator."""
        update_average(
            self.glam_ema,
            self.glam,
            decay=self.config.glam.ema_decay,
            step=step,
            warm_up=self.config.glam.ema_warm_up,
        )

    def step(self, batch: dict, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates each discriminator, then the generator against them.

        With micro-batches the generator runs twice: the discriminators are updated by
        all micro-batches first, and keeping the generator's activations for all of them
        would take too much memory.
        """
        words, sentence, padding_mask = self.stem(**first_captions(batch["text"]))
        batch_size = batch["caption_ids"].shape[0]
        generator_inputs = {
            "words": words,
            "sentence": sentence,
            "padding_mask": padding_mask,
            **self._noise(batch_size, seed),
        }
        batch = batch | self._augmentation_numbers(batch_size, seed)
        parts = micro_batches(
            (batch, generator_inputs), self.config.run.accumulate_steps
        )
        only_pass = self._generate(*parts[0]) if len(parts) == 1 else None

        def discriminator_gradients(part):
            generated = only_pass
            if generated is None:
                # The moving averages of the generator's batch norms are updated in its
                # own pass; this one discards its updates.
                with keras.StatelessScope(initialize_variables=False):
                    generated = self._generate(*part)
            return self._discriminator_gradients(generated, *part, step=seed[1])

        def generator_gradients(part):
            generated = only_pass or self._generate(*part)
            with generated.tape as tape:
                losses, total = self.generator_loss(generated, *part, training=True)
            return losses, tape.gradient(total, self.glam.trainable_variables)

        losses, gradients = accumulate(parts, discriminator_gradients)
        for discriminator, optimizer, discriminator_gradient in zip(
            self.all_discriminators,
            self.discriminator_optimizers,
            gradients,
            strict=True,
        ):
            optimizer.apply(discriminator_gradient, discriminator.trainable_variables)
        generator_losses, gradients = accumulate(parts, generator_gradients)
        self.generator_optimizer.apply(gradients, self.glam.trainable_variables)
        return losses | generator_losses

    def _generate(self, batch, generator_inputs):
        frozen_maps = self._frozen_maps(batch, _FAKE)
        with tf.GradientTape() as tape:
            outputs = self.glam(**generator_inputs, training=True)
            # On the tape, because the generator's losses use the same feature maps.
            scored = self._scored_images(outputs["images"], batch, _FAKE, frozen_maps)
        return _GeneratorPass(tape, outputs, frozen_maps, scored)

    def _discriminator_gradients(self, generated, batch, generator_inputs, *, step):
        """Losses of all discriminators by name, and a list of gradients for each."""
        sentence = generator_inputs["sentence"]
        next_sentence, next_weights = next_example(sentence)
        real = self._scored_images(
            batch["images"], batch, _REAL, self._frozen_maps(batch, _REAL)
        )
        losses, gradients = {}, []
        for real_images, fake_images in zip(real, generated.scored, strict=True):
            discriminator = real_images.discriminator
            with tf.GradientTape() as tape:
                own_losses, total = discriminator_loss(
                    discriminator,
                    real_images.inputs,
                    fake_images.inputs,
                    sentence,
                    next_sentence,
                    next_weights,
                    settings=self.config.losses,
                    training=True,
                )
            own_gradients = tape.gradient(total, discriminator.trainable_variables)
            if r1_is_lazy(self.config.losses):
                own_losses["r1"], r1_gradients = lazy_r1(
                    discriminator,
                    real_images.inputs,
                    sentence,
                    settings=self.config.losses,
                    step=step,
                )
                own_gradients = tf.nest.map_structure(
                    tf.add, own_gradients, r1_gradients
                )
            gradients.append(own_gradients)
            losses |= {
                f"{name}_{real_images.name}": loss for name, loss in own_losses.items()
            }
        return losses, gradients

    def generator_loss(
        self,
        generated: _GeneratorPass,
        batch: dict,
        generator_inputs: dict,
        *,
        training: bool,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """This replica's shares of the losses of `GENERATOR_LOSS`, and their sum."""
        outputs, frozen_maps = generated.outputs, generated.frozen_maps
        scored = self._scored_images(outputs["images"], batch, _GENERATOR, frozen_maps)
        caption_ids, caption_lengths = first_captions(
            (batch["caption_ids"], batch["caption_lengths"])
        )

        def caption_logits(images):
            _, pooled = frozen_maps.read("stream_encoder", images)
            return self.stream.decoder(self.stream.encoder.project(pooled), caption_ids)

        def image_embeddings(images):
            return self.image_encoder.project(
                *frozen_maps.read("image_encoder", images)
            )

        scales = len(self.discriminators)
        inputs = GeneratorLossInputs(
            settings=self.config.losses,
            images=outputs["images"],
            mu=outputs["mu"],
            log_var=outputs["log_var"],
            words=generator_inputs["words"],
            sentence=generator_inputs["sentence"],
            padding_mask=generator_inputs["padding_mask"],
            caption_ids=caption_ids,
            caption_lengths=caption_lengths,
            class_ids=batch.get("class_ids"),
            image_scores=scored[:scales],
            feature_scores=scored[scales:],
            caption_logits=caption_logits,
            image_embeddings=image_embeddings,
            mean=global_mean,
            gather=gather_examples,
            training=training,
        )
        losses, total = sum_terms(GENERATOR_LOSS, inputs)
        return losses | {"generator": total}, total

    def _scored_images(self, images, batch, row, frozen_maps):
        """Each discriminator with its inputs; those of images come first.

        `row` selects the random numbers that augment these images.
        """
        config = self.config
        if config.augmentations:
            numbers = batch["augmentation_numbers"][:, row]
            images = [
                augment(images_at_scale, numbers, config.augmentations)
                for images_at_scale in images
            ]
        by_size = dict(zip(config.sizes, images, strict=True))
        scored = [
            ScoredImages(str(size), discriminator, by_size[size])
            for size, discriminator in zip(
                config.sizes, self.discriminators, strict=True
            )
        ]
        network = config.discriminators.feature_discriminator
        for size, discriminator in zip(
            config.feature_sizes, self.feature_discriminators, strict=True
        ):
            maps = frozen_maps.maps(network, by_size[size])
            scored.append(ScoredImages(f"features_{size}", discriminator, maps))
        return scored

    def _frozen_maps(self, batch=None, row=0):
        shifted = batch and self.config.encoders.frozen_view_shift
        return FrozenMaps(
            self.config,
            image_encoder=self.image_encoder,
            stream=self.stream,
            shift_numbers=batch["shift_numbers"][:, row] if shifted else None,
        )

    def _augmentation_numbers(self, batch_size, seed):
        """Random numbers of augmentations and shifts, from seeds of their own."""
        fold = tf.random.experimental.stateless_fold_in
        numbers = {}
        if self.config.augmentations:
            numbers["augmentation_numbers"] = example_uniform(
                (batch_size, 3, NUMBERS_PER_IMAGE), seed=fold(seed, 1)
            )
        if self.config.encoders.frozen_view_shift:
            numbers["shift_numbers"] = example_uniform(
                (batch_size, 2, 2), seed=fold(seed, 3)
            )
        return numbers

    def _noise(self, batch_size, seed):
        noise_dim = self.config.generator.noise_dim
        numbers = example_normal(
            (batch_size, noise_dim + self.config.generator.condition_dim), seed=seed
        )
        return {
            "noise": numbers[:, :noise_dim],
            "condition_noise": numbers[:, noise_dim:],
        }
