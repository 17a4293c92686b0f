"""A training step of GLAM as a pure function of arrays, for `jax.jit`.

The mathematics of `GlamStage.step` without augmentation and accumulation, and with the
R1 penalty at every step, whatever --r1_every is; that one is written with TensorFlow's
tapes.
"""

from collections.abc import Callable
from typing import Any

import jax
import keras
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.adversarial import ADVERSARIAL_LOSSES
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.losses.damsm import damsm_losses
from mirrorgan_tf.losses.kl import kl_to_standard_normal
from mirrorgan_tf.losses.penalties import r1_penalty
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.feature_discriminator import FeatureDiscriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream
from mirrorgan_tf.training.augmentation import shift

__all__ = [
    "JaxGlam",
    "build_compiled",
    "damsm_loss",
    "mean_over_words",
    "scope_with_values",
]


class JaxGlam:
    """Generator, its average and discriminators, and the step that trains them.

    Values of variables come in lists, as Keras' stateless functions take them.

    Attributes:
        trained: nested, the variables that a step moves.
        frozen: those of STEM and STREAM.
    """

    def __init__(
        self,
        config: Config,
        *,
        stem: Stem,
        stream: Stream,
        glam: Glam,
        glam_ema: Glam,
        discriminators: list[Discriminator],
        image_encoder: ImageEncoder | None = None,
        feature_discriminators: list[FeatureDiscriminator] | None = None,
    ):
        """Takes built models; the average begins where the generator does.

        The image encoder may be left out where neither the DAMSM loss nor feature
        discriminators need it.
        """
        self._config = config
        self._stem = stem
        self._stream = stream
        self._glam = glam
        self._image_encoder = image_encoder
        self._pixel_discriminators = discriminators
        self._feature_discriminators = feature_discriminators or []
        self._discriminators = [*discriminators, *self._feature_discriminators]
        for mean, value in zip(glam_ema.variables, glam.variables, strict=True):
            # A copy: JAX can donate a buffer only once.
            mean.assign(ops.copy(value.value))
        self._generator_optimizer = _adam(
            config.glam.generator_learning_rate, glam, config
        )
        self._discriminator_optimizers = [
            _adam(config.glam.discriminator_learning_rate, discriminator, config)
            for discriminator in self._discriminators
        ]
        self.trained = {
            "glam": _variables(glam),
            "glam_ema": _variables(glam_ema),
            "generator_optimizer": self._generator_optimizer.variables,
            "discriminators": [_variables(each) for each in self._discriminators],
            "discriminator_optimizers": [
                optimizer.variables for optimizer in self._discriminator_optimizers
            ],
        }
        self.frozen = [*stem.variables, *stream.variables]
        if image_encoder is not None:
            self.frozen += image_encoder.variables

    def values(self) -> tuple[dict, list]:
        """Values of the variables in `trained` and in `frozen`."""
        return jax.tree.map(lambda each: each.value, (self.trained, self.frozen))

    def step(self, trained: dict, frozen: list, batch: dict) -> tuple[dict, dict]:
        """Updates each discriminator, then the generator against them.

        Args:
            trained: values, nested as the attribute is.
            frozen: likewise.
            batch: `images`, one (B, s, s, 3) a scale, `ids` (B, L), `lengths` (B,),
                `noise` (B, noise_dim), `condition_noise` (B, condition_dim), and
                `class_ids` (B,) if the DAMSM loss is used, `shift_numbers` (B, 2, 2)
                if images are shifted for the frozen networks.

        Returns:
            The new values of `trained`, and the losses by the names of
            `GlamStage.step`.
        """
        frozen = list(zip(self.frozen, frozen, strict=True))
        with keras.StatelessScope(state_mapping=frozen):
            words, sentence, _ = self._stem(batch["ids"], batch["lengths"])
        batch = batch | {"words": words, "sentence": sentence}

        def generate(weights):
            statistics = trained["glam"]["statistics"]
            scope = scope_with_values(self._glam, weights, statistics)
            with scope:
                outputs = self._glam(
                    words=words,
                    sentence=sentence,
                    noise=batch["noise"],
                    condition_noise=batch["condition_noise"],
                    padding_mask=padding_mask_from_lengths(
                        batch["lengths"], batch["ids"].shape[1]
                    ),
                    training=True,
                )
            kept = {name: outputs[name] for name in ("images", "mu", "log_var")}
            return kept, _statistics(self._glam, scope)

        outputs, pull_back, statistics = jax.vjp(
            generate, trained["glam"]["weights"], has_aux=True
        )
        losses, discriminators, optimizers = self._update_discriminators(
            trained, frozen, batch, outputs["images"]
        )
        (_, (generator_losses, new_statistics)), gradients = jax.value_and_grad(
            self._generator_loss, has_aux=True
        )(outputs, discriminators, frozen, batch)
        (gradients,) = pull_back(gradients)
        weights, optimizer = self._generator_optimizer.stateless_apply(
            trained["generator_optimizer"], gradients, trained["glam"]["weights"]
        )
        glam = {"weights": weights, "statistics": statistics}
        decay = self._ema_decay(trained["generator_optimizer"][0])
        return {
            "glam": glam,
            "glam_ema": jax.tree.map(
                lambda mean, value: value + (mean - value) * decay,
                trained["glam_ema"],
                glam,
            ),
            "generator_optimizer": optimizer,
            "discriminators": [
                values | {"statistics": statistics}
                for values, statistics in zip(
                    discriminators, new_statistics, strict=True
                )
            ],
            "discriminator_optimizers": optimizers,
        }, losses | generator_losses

    def _ema_decay(self, steps):
        decay = self._config.glam.ema_decay
        if not self._config.glam.ema_warm_up:
            return decay
        steps = ops.cast(steps, "float32")
        return ops.minimum(decay, (1.0 + steps) / (10.0 + steps))

    def _backbone(self, network):
        if network == "image_encoder" or self._config.one_frozen_backbone:
            return self._image_encoder.backbone
        return self._stream.encoder.backbone

    def _maps(self, frozen, network, images, shifts):
        if self._config.encoders.frozen_view_shift:
            images = shift(images, shifts, self._config.encoders.frozen_view_shift)
        with keras.StatelessScope(state_mapping=frozen):
            return list(self._backbone(network).feature_maps(images))

    def _shifts(self, batch):
        """Random shifts of real and of generated images, or None."""
        if not self._config.encoders.frozen_view_shift:
            return None, None
        return batch["shift_numbers"][:, 0], batch["shift_numbers"][:, 1]

    def _discriminator_inputs(self, frozen, images, shifts):
        """(name, its inputs) for each discriminator."""
        config = self._config
        by_size = dict(zip(config.sizes, images, strict=True))
        return [(str(size), by_size[size]) for size in config.sizes] + [
            (
                f"features_{size}",
                self._maps(
                    frozen,
                    config.discriminators.feature_discriminator,
                    by_size[size],
                    shifts,
                ),
            )
            for size in config.feature_sizes
        ]

    def _update_discriminators(self, trained, frozen, batch, fake):
        losses, discriminators, optimizers = {}, [], []
        real_shifts, fake_shifts = self._shifts(batch)
        real = self._discriminator_inputs(frozen, batch["images"], real_shifts)
        fake = self._discriminator_inputs(frozen, fake, fake_shifts)
        cost = ADVERSARIAL_LOSSES[self._config.losses.adversarial_loss]
        for i, discriminator in enumerate(self._discriminators):
            (name, real_inputs), (_, fake_inputs) = real[i], fake[i]
            weights = trained["discriminators"][i]["weights"]
            (_, (parts, statistics)), gradients = jax.value_and_grad(
                _discriminator_loss, has_aux=True
            )(
                weights,
                trained["discriminators"][i]["statistics"],
                discriminator,
                real_inputs,
                fake_inputs,
                batch["sentence"],
                cost,
                self._config.losses.r1_weight,
            )
            weights, optimizer = self._discriminator_optimizers[i].stateless_apply(
                trained["discriminator_optimizers"][i], gradients, weights
            )
            losses |= {f"{kind}_{name}": value for kind, value in parts.items()}
            discriminators.append({"weights": weights, "statistics": statistics})
            optimizers.append(optimizer)
        return losses, discriminators, optimizers

    def _generator_loss(self, outputs, discriminators, frozen, batch):
        """The sum, and its terms with the discriminators' new statistics."""
        config = self._config
        losses, statistics, total = {}, [], 0.0
        cost = ADVERSARIAL_LOSSES[config.losses.adversarial_loss].generator
        _, shifts = self._shifts(batch)
        inputs = self._discriminator_inputs(frozen, outputs["images"], shifts)
        for discriminator, values, (name, image_inputs) in zip(
            self._discriminators, discriminators, inputs, strict=True
        ):
            scope = scope_with_values(
                discriminator, values["weights"], values["statistics"]
            )
            with scope:
                features = discriminator.features(image_inputs, training=True)
                unconditional = discriminator.unconditional(features, training=True)
                conditional = discriminator.conditional(
                    features, batch["sentence"], training=True
                )
            loss = ops.mean(cost(unconditional)) + ops.mean(cost(conditional))
            losses[f"adversarial_{name}"] = loss
            if name.startswith("features"):
                loss *= config.losses.feature_discriminator_weight
            total += loss
            statistics.append(_statistics(discriminator, scope))
        losses["kl"] = ops.mean(
            kl_to_standard_normal(outputs["mu"], outputs["log_var"])
        )
        total += config.losses.kl_weight * losses["kl"]
        image = outputs["images"][-1]
        if config.losses.redescription_weight:
            maps = self._maps(frozen, "stream_encoder", image, shifts)
            with keras.StatelessScope(state_mapping=frozen):
                _, pooled = self._backbone("stream_encoder").from_maps(maps)
                features = self._stream.encoder.project(pooled)
                logits = self._stream.decoder(features, batch["ids"])
            losses["redescription"] = mean_over_words(
                logits, batch["ids"], batch["lengths"]
            )
            total += config.losses.redescription_weight * losses["redescription"]
        if config.losses.damsm_weight:
            maps = self._maps(frozen, "image_encoder", image, shifts)
            with keras.StatelessScope(state_mapping=frozen):
                regions, code = self._image_encoder.project(
                    *self._backbone("image_encoder").from_maps(maps)
                )
            losses["damsm"] = damsm_loss(config, regions, code, batch)
            total += config.losses.damsm_weight * losses["damsm"]
        return total, (losses | {"generator": total}, statistics)


def damsm_loss(config, regions, code, batch, sentence=None):
    """Sum of the four DAMSM losses of a batch.

    Args:
        config: with gamma 1 to 3.
        regions: (B, R, D).
        code: (B, D).
        batch: with `words`, `sentence`, `ids`, `lengths`, `class_ids`.
        sentence: (B, k, D) of k captions of each image; None: the batch's.
    """
    losses = damsm_losses(
        config.losses,
        regions=regions,
        code=code,
        words=batch["words"],
        sentence=batch["sentence"] if sentence is None else sentence,
        padding_mask=padding_mask_from_lengths(batch["lengths"], batch["ids"].shape[1]),
        class_ids=batch["class_ids"],
        mean=ops.mean,
    )
    return sum(losses.values())


def build_compiled(make: Callable[[], Any]) -> Any:
    """Builds an object such as `JaxGlam`; one program initialises all its variables.

    JAX would otherwise compile a program for each operation and shape, which takes
    longer than the compilation of a step.
    """
    built = []

    def values():
        built.append(make())
        return built[0].values()

    initial = jax.jit(values)()
    (result,) = built
    jax.tree.map(
        lambda variable, value: variable.assign(value),
        (result.trained, result.frozen),
        initial,
    )
    return result


def _discriminator_loss(
    weights, statistics, discriminator, real, fake, sentence, cost, r1_weight
):
    """As `training.adversarial`: the sum, its terms and the new statistics."""
    wrong = ops.roll(sentence, -1, axis=0)

    def logits(real):
        scope = scope_with_values(discriminator, weights, statistics)
        with scope:
            features = discriminator.features(
                jax.tree.map(lambda *pair: ops.concatenate(pair), real, fake),
                batches=2,
                training=True,
            )
            unconditional = discriminator.unconditional(features, training=True)
            conditional = discriminator.conditional(
                features,
                ops.concatenate([sentence, sentence, wrong]),
                batches=3,
                training=True,
            )
        return (unconditional, conditional), _statistics(discriminator, scope)

    losses = {}
    if r1_weight:
        (unconditional, conditional), pull_back, statistics = jax.vjp(
            logits, real, has_aux=True
        )
        zeros = ops.zeros_like(unconditional), ops.zeros_like(conditional)
        own = len(unconditional) // 2
        (unconditional_gradient,) = pull_back((zeros[0].at[:own].set(1.0), zeros[1]))
        (conditional_gradient,) = pull_back((zeros[0], zeros[1].at[:own].set(1.0)))
        losses["r1"] = ops.mean(
            r1_penalty(unconditional_gradient) + r1_penalty(conditional_gradient)
        )
    else:
        (unconditional, conditional), statistics = logits(real)
    real_logits, fake_logits = ops.split(unconditional, 2)
    real_matching, fake_matching, mismatching = ops.split(conditional, 3)
    # The last image has no next one's sentence.
    mismatching = mismatching[:-1]
    fakes = (fake_logits, fake_matching, mismatching)
    loss = (ops.mean(cost.real(real_logits)) + ops.mean(cost.real(real_matching))) / 2
    loss += sum(ops.mean(cost.fake(logits)) for logits in fakes) / 3
    losses["discriminator"] = loss
    if r1_weight:
        loss += r1_weight * losses["r1"]
    return loss, (losses, statistics)


def mean_over_words(logits, ids, lengths):
    """Mean cross entropy over the true words of a batch, in nats."""
    per_word = caption_cross_entropy(logits, ids)
    padded = padding_mask_from_lengths(lengths, ids.shape[1])
    counts = ops.cast(ops.logical_not(padded), per_word.dtype)
    return ops.sum(per_word * counts) / ops.sum(counts)


def _adam(rate, model, config):
    # As `training.optimizers`, which imports TensorFlow.
    if config.glam.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.glam.steps)
    optimizer = keras.optimizers.Adam(rate, beta_1=config.glam.adam_beta1)
    optimizer.build(model.trainable_variables)
    return optimizer


def _variables(model) -> dict[str, Any]:
    return {
        "weights": model.trainable_variables,
        "statistics": model.non_trainable_variables,
    }


def scope_with_values(model, weights, statistics):
    """A scope in which the model's variables have these values."""
    pairs = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, statistics, strict=True),
    ]
    return keras.StatelessScope(state_mapping=pairs)


def _statistics(model, scope):
    """Values of the non-trainable variables at the end of a scope."""
    return [scope.get_current_value(each) for each in model.non_trainable_variables]
