"""A training step of GLAM as a pure function of arrays, for `jax.jit`.

The mathematics of `GlamStage.step` with the defaults of its losses; that one is
written with TensorFlow's tapes.
"""

from collections.abc import Callable
from typing import Any

import jax
import keras
from keras import ops

from mirrorgan_tf.config import Config
from mirrorgan_tf.losses.adversarial import fake_loss, real_loss
from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.losses.kl import kl_to_standard_normal
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import Stream

__all__ = ["JaxGlam", "build_compiled"]


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
    ):
        """Takes built models; the average begins where the generator does."""
        self._config = config
        self._stem = stem
        self._stream = stream
        self._glam = glam
        self._discriminators = discriminators
        for mean, value in zip(glam_ema.variables, glam.variables, strict=True):
            # Else both would be one buffer, which can be donated but once.
            mean.assign(ops.copy(value.value))
        self._generator_optimizer = _adam(config.generator_learning_rate, glam, config)
        self._discriminator_optimizers = [
            _adam(config.discriminator_learning_rate, discriminator, config)
            for discriminator in discriminators
        ]
        self.trained = {
            "glam": _variables(glam),
            "glam_ema": _variables(glam_ema),
            "generator_optimizer": self._generator_optimizer.variables,
            "discriminators": [_variables(each) for each in discriminators],
            "discriminator_optimizers": [
                optimizer.variables for optimizer in self._discriminator_optimizers
            ],
        }
        self.frozen = [*stem.variables, *stream.variables]

    def values(self) -> tuple[dict, list]:
        """Those of the variables in `trained` and in `frozen`."""
        return jax.tree.map(lambda each: each.value, (self.trained, self.frozen))

    def step(self, trained: dict, frozen: list, batch: dict) -> tuple[dict, dict]:
        """Updates each discriminator, then the generator against them.

        Args:
            trained: values, nested as the attribute is.
            frozen: likewise.
            batch: `images`, one (B, s, s, 3) a scale, `ids` (B, L), `lengths` (B,),
                `noise` (B, noise_dim), `condition_noise` (B, condition_dim).

        Returns:
            trained, moved, and the losses as `GlamStage.step` names them.
        """
        frozen = list(zip(self.frozen, frozen, strict=True))
        with keras.StatelessScope(state_mapping=frozen):
            words, sentence = self._stem(batch["ids"], batch["lengths"])

        def make(weights):
            scope = _scope(self._glam, weights, trained["glam"]["statistics"])
            with scope:
                made = self._glam(
                    words=words,
                    sentence=sentence,
                    noise=batch["noise"],
                    condition_noise=batch["condition_noise"],
                    padding_mask=padding_mask_from_lengths(
                        batch["lengths"], batch["ids"].shape[1]
                    ),
                    training=True,
                )
            kept = {name: made[name] for name in ("images", "mu", "log_var")}
            return kept, _statistics(self._glam, scope)

        made, pull_back, statistics = jax.vjp(
            make, trained["glam"]["weights"], has_aux=True
        )
        losses, judges, optimizers = self._update_discriminators(
            trained, batch["images"], made["images"], sentence
        )
        (_, (generator_losses, judges_statistics)), slopes = jax.value_and_grad(
            self._generator_loss, has_aux=True
        )(made, judges, frozen, batch, sentence)
        (gradients,) = pull_back(slopes)
        weights, optimizer = self._generator_optimizer.stateless_apply(
            trained["generator_optimizer"], gradients, trained["glam"]["weights"]
        )
        glam = {"weights": weights, "statistics": statistics}
        decay = self._config.ema_decay
        return {
            "glam": glam,
            "glam_ema": jax.tree.map(
                lambda mean, value: value + (mean - value) * decay,
                trained["glam_ema"],
                glam,
            ),
            "generator_optimizer": optimizer,
            "discriminators": [
                judge | {"statistics": statistics}
                for judge, statistics in zip(judges, judges_statistics, strict=True)
            ],
            "discriminator_optimizers": optimizers,
        }, losses | generator_losses

    def _update_discriminators(self, trained, real, fake, sentence):
        losses, judges, optimizers = {}, [], []
        for i, discriminator in enumerate(self._discriminators):
            weights = trained["discriminators"][i]["weights"]
            (loss, statistics), gradients = jax.value_and_grad(
                _discriminator_loss, has_aux=True
            )(
                weights,
                trained["discriminators"][i]["statistics"],
                discriminator,
                real[i],
                fake[i],
                sentence,
            )
            weights, optimizer = self._discriminator_optimizers[i].stateless_apply(
                trained["discriminator_optimizers"][i], gradients, weights
            )
            losses[f"discriminator_{discriminator.size}"] = loss
            judges.append({"weights": weights, "statistics": statistics})
            optimizers.append(optimizer)
        return losses, judges, optimizers

    def _generator_loss(self, made, judges, frozen, batch, sentence):
        """The sum, and its terms with the discriminators' new statistics."""
        losses, statistics = {}, []
        for discriminator, judge, images in zip(
            self._discriminators, judges, made["images"], strict=True
        ):
            scope = _scope(discriminator, judge["weights"], judge["statistics"])
            with scope:
                features = discriminator.features(images, training=True)
                alone = discriminator.unconditional(features, training=True)
                joint = discriminator.conditional(features, sentence, training=True)
            losses[f"adversarial_{discriminator.size}"] = ops.mean(
                real_loss(alone)
            ) + ops.mean(real_loss(joint))
            statistics.append(_statistics(discriminator, scope))
        total = sum(losses.values())
        losses["kl"] = ops.mean(kl_to_standard_normal(made["mu"], made["log_var"]))
        with keras.StatelessScope(state_mapping=frozen):
            logits = self._stream(made["images"][-1], batch["ids"])
        losses["redescription"] = _mean_a_word(logits, batch["ids"], batch["lengths"])
        total += self._config.kl_weight * losses["kl"]
        total += self._config.redescription_weight * losses["redescription"]
        return total, (losses | {"generator": total}, statistics)


def build_compiled(make: Callable[[], JaxGlam]) -> JaxGlam:
    """What `make()` builds; one program initialises all variables.

    Op by op JAX compiles each shape on its own, for longer than a step's compilation.
    """
    made = []

    def values():
        made.append(make())
        return made[0].values()

    initial = jax.jit(values)()
    (glam,) = made
    jax.tree.map(
        lambda variable, value: variable.assign(value),
        (glam.trained, glam.frozen),
        initial,
    )
    return glam


def _discriminator_loss(weights, statistics, discriminator, real, fake, sentence):
    """As `training.adversarial` without penalties: errD, and the new statistics."""
    scope = _scope(discriminator, weights, statistics)
    with scope:
        features = discriminator.features(
            ops.concatenate([real, fake]), batches=2, training=True
        )
        alone = discriminator.unconditional(features, training=True)
        joint = discriminator.conditional(
            features,
            ops.concatenate([sentence, sentence, ops.roll(sentence, -1, axis=0)]),
            batches=3,
            training=True,
        )
    real_alone, fake_alone = ops.split(alone, 2)
    real_joint, fake_joint, wrong_joint = ops.split(joint, 3)
    # The last image has no next one's sentence.
    wrong_joint = wrong_joint[:-1]
    fakes = (fake_alone, fake_joint, wrong_joint)
    loss = (ops.mean(real_loss(real_alone)) + ops.mean(real_loss(real_joint))) / 2
    loss += sum(ops.mean(fake_loss(logits)) for logits in fakes) / 3
    return loss, _statistics(discriminator, scope)


def _mean_a_word(logits, ids, lengths):
    per_word = caption_cross_entropy(logits, ids)
    padded = padding_mask_from_lengths(lengths, ids.shape[1])
    counts = ops.cast(ops.logical_not(padded), per_word.dtype)
    return ops.sum(per_word * counts) / ops.sum(counts)


def _adam(rate, model, config):
    optimizer = keras.optimizers.Adam(rate, beta_1=config.adam_beta1)
    optimizer.build(model.trainable_variables)
    return optimizer


def _variables(model) -> dict[str, Any]:
    return {
        "weights": model.trainable_variables,
        "statistics": model.non_trainable_variables,
    }


def _scope(model, weights, statistics):
    """In which the model's variables have these values."""
    pairs = [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, statistics, strict=True),
    ]
    return keras.StatelessScope(state_mapping=pairs)


def _statistics(model, scope):
    """As they are at the scope's end."""
    return [scope.get_current_value(each) for each in model.non_trainable_variables]
