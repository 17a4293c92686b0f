"""The passes, the loss and the R1 penalty of one discriminator."""

import contextlib

import tensorflow as tf

from mirrorgan_tf.config.groups import LossSettings
from mirrorgan_tf.losses.penalties import r1_penalty
from mirrorgan_tf.losses.registry import DISCRIMINATOR_LOSS
from mirrorgan_tf.losses.terms import DiscriminatorLossInputs, sum_terms
from mirrorgan_tf.models.discriminators import ConditionalDiscriminator
from mirrorgan_tf.training.distribution import global_mean

__all__ = ["discriminator_loss", "lazy_r1", "r1_is_lazy"]


def discriminator_loss(
    discriminator: ConditionalDiscriminator,
    real: tf.Tensor | list[tf.Tensor],
    fake: tf.Tensor | list[tf.Tensor],
    sentence: tf.Tensor,
    next_sentence: tf.Tensor,
    next_weights: tf.Tensor,
    *,
    settings: LossSettings,
    training: bool,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """This replica's shares of one discriminator's losses, and the weighted sum.

    Args:
        discriminator: of this scale.
        real: (B, s, s, 3) in [-1, 1]; or their feature maps.
        fake: generated images, like `real`.
        sentence: (B, D), the sentence embedding, not the condition s_ca.
        next_sentence: (B, D), of the next image of the batch.
        next_weights: (B,), 0 where there is no next image.
        settings: forms and weights of the losses. R1 is part of the loss unless it is
            lazy.
        training: whether to use the statistics of the batch.

    Returns:
        The losses by name, without their weights, and their weighted sum.
    """
    penalize = settings.r1_weight and not r1_is_lazy(settings)
    with _watch(real) if penalize else contextlib.nullcontext() as tape:
        features = discriminator.features(
            tf.nest.map_structure(lambda *pair: tf.concat(pair, 0), real, fake),
            batches=2,
            training=training,
        )
        real_logits, fake_logits = tf.split(
            discriminator.unconditional(features, training=training), 2
        )
        real_matching, fake_matching, real_mismatching = tf.split(
            discriminator.conditional(
                features,
                tf.concat([sentence, sentence, next_sentence], 0),
                batches=3,
                training=training,
            ),
            3,
        )
    # (B,) to (B, maps), where a discriminator has logits for several maps.
    more_axes = [1] * (len(real_mismatching.shape) - 1)
    weights = tf.broadcast_to(
        tf.reshape(next_weights, [-1, *more_axes]), tf.shape(real_mismatching)
    )
    inputs = DiscriminatorLossInputs(
        settings=settings,
        real=real_logits,
        fake=fake_logits,
        real_matching=real_matching,
        fake_matching=fake_matching,
        real_mismatching=real_mismatching,
        mismatching_weights=weights,
        mean=global_mean,
    )
    losses, total = sum_terms(DISCRIMINATOR_LOSS, inputs)
    if penalize:
        losses["r1"] = _r1(tape, real, real_logits, real_matching)
        total += settings.r1_weight * losses["r1"]
    return losses, total


def r1_is_lazy(settings: LossSettings) -> bool:
    """Whether R1 is computed by `lazy_r1`, and not with every loss."""
    return settings.r1_every > 1 and settings.r1_weight > 0


def lazy_r1(
    discriminator: ConditionalDiscriminator,
    real: tf.Tensor | list[tf.Tensor],
    sentence: tf.Tensor,
    *,
    settings: LossSettings,
    step: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """R1 and its gradients at each `r1_every`-th step, and zeros between.

    Both are multiplied by `r1_every`, so that their means over the steps are those of
    a penalty at every step.

    Args:
        discriminator: without batch norms.
        real: (B, s, s, 3) in [-1, 1]; or their feature maps.
        sentence: (B, D), the sentence embedding.
        settings: forms and weights of the losses.
        step: scalar integer, updates before this one.

    Returns:
        This replica's share of R1 without its weight, and the gradients of the weighted
        share with respect to the trainable variables.

    Source: lazy regularisation, Karras et al., Analyzing and Improving the Image
    Quality of StyleGAN (2020), section 3.1; the update is not a separate one here.
    """
    variables = discriminator.trainable_variables

    def skip():
        return tf.zeros([], variables[0].dtype), [
            tf.zeros(variable.shape, variable.dtype) for variable in variables
        ]

    def penalize():
        with tf.GradientTape() as weights_tape:
            with _watch(real) as tape:
                features = discriminator.features(real)
                logits = discriminator.unconditional(features)
                matching = discriminator.conditional(features, sentence)
            r1 = _r1(tape, real, logits, matching)
            total = settings.r1_weight * r1
        gradients = [
            # R1 does not depend on the biases of the logits.
            zeros if gradient is None else gradient
            for zeros, gradient in zip(
                skip()[1], weights_tape.gradient(total, variables), strict=True
            )
        ]
        return tf.nest.map_structure(
            lambda value: settings.r1_every * value, (r1, gradients)
        )

    return tf.cond(tf.equal(step % settings.r1_every, 0), penalize, skip)


def _r1(tape, real, *logits):
    """R1 of the logits of both heads, at real images with their own sentences.

    With batch statistics, an image also changes the logits of the others: this uses the
    gradient of the sum over the batch.
    """
    return global_mean(sum(r1_penalty(tape.gradient(each, real)) for each in logits))


@contextlib.contextmanager
def _watch(values):
    """A tape for several gradients with respect to `values`."""
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(values)
        yield tape
