"""Compares discriminators, errD, errG and the generator's gradients."""

import re

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mirrorgan_tf.config.groups import LossSettings
from mirrorgan_tf.convert.names import pytorch_entries
from mirrorgan_tf.losses.adversarial import adversarial_loss
from mirrorgan_tf.losses.caption import mean_word_loss
from mirrorgan_tf.losses.kl import kl_to_standard_normal
from mirrorgan_tf.training.adversarial import discriminator_loss
from mirrorgan_tf.training.distribution import global_mean
from tools.parity.golden import GoldenFile, MissingGoldenError, Report
from tools.parity.network_checks import (
    TOLERANCE,
    check_discriminators,
    glam_inputs,
    numpy,
    to_channels_last,
)
from tools.parity.networks import load_glam, load_stream_decoder

__all__ = ["GRADIENT_TOLERANCE", "check_adversarial"]

GRADIENT_TOLERANCE = 1e-3
_LAMBDA = r"loss/errG_lambda(\d+(?:\.\d+)?)"


def check_adversarial(
    golden: GoldenFile, others: dict[str, GoldenFile], report: Report
) -> None:
    """Compares everything in adversarial.npz.

    Args:
        golden: adversarial.npz.
        others: all files of the folder by name; images come from "glam", captions
            and their decoder from "stream_decoder".
        report: collects the results.
    """
    discriminators = check_discriminators(golden, report)
    for index, discriminator in discriminators.items():
        _check_discriminator_loss(index, discriminator, golden, others, report)
    if "glam" not in others:
        raise MissingGoldenError(
            "errD and the losses need the generator of glam.npz, which is missing"
        )
    if golden.keys("loss/|gradnorm/"):
        _check_generator_loss(discriminators, golden, others, report)


def _check_discriminator_loss(index, discriminator, golden, others, report):
    key, image = f"eval/errD{index}", f"eval/image{index}"
    if key not in golden or image not in others.get("glam", ()):
        return
    loss = _discriminator_loss(
        discriminator,
        to_channels_last(golden.take(f"real{index}")),
        to_channels_last(others["glam"].take(image)),
        golden.take("sentence"),
    )
    report.compare(f"adversarial/{key}", loss, golden.take(key), TOLERANCE)


def _discriminator_loss(discriminator, real, fake, sentence):
    weights = np.ones(len(sentence), np.float32)
    weights[-1] = 0.0
    _, loss = discriminator_loss(
        discriminator,
        tf.constant(real),
        tf.constant(fake),
        tf.constant(sentence),
        tf.constant(np.roll(sentence, -1, axis=0)),
        tf.constant(weights),
        settings=LossSettings(),
        training=False,
    )
    return numpy(loss)


class _PooledDecoder:
    """Stands in for STREAM: projected mean colours of a grid, and the decoder."""

    def __init__(self, projection: np.ndarray, decoder: keras.Model):
        self._projection = projection
        self._decoder = decoder
        self._grid = round((len(projection) / 3) ** 0.5)

    def __call__(self, images, ids, training=False):
        side = images.shape[1] // self._grid
        pooled = ops.average_pool(images, side, side)
        flat = ops.reshape(ops.transpose(pooled, (0, 3, 1, 2)), (len(ids), -1))
        return self._decoder(ops.matmul(flat, self._projection), ids)


def _check_generator_loss(discriminators, golden, others, report):
    glam_golden = others["glam"]
    glam = load_glam(glam_golden.take_state())
    inputs = glam_inputs(glam_golden)
    sentence = golden.take("sentence")
    weight = 20.0
    for key in golden.keys(_LAMBDA):
        weight = float(re.match(_LAMBDA, key)[1])
    if len(discriminators) != glam.stages:
        raise MissingGoldenError(
            f"there are {len(discriminators)} discriminators and glam.npz's generator "
            f"has {glam.stages} images"
        )
    with tf.GradientTape() as tape:
        outputs = glam(**inputs)
        losses = {
            "adversarial": sum(
                adversarial_loss(
                    discriminator, images, sentence, mean=global_mean, training=False
                )
                for discriminator, images in zip(
                    discriminators.values(), outputs["images"], strict=True
                )
            ),
            "kl": tf.reduce_mean(
                kl_to_standard_normal(outputs["mu"], outputs["log_var"])
            ),
        }
        if "stream_decoder" in others:
            losses["caption"] = _caption_loss(
                outputs["images"][-1], golden, others["stream_decoder"]
            )
            losses["errG"] = (
                losses["adversarial"] + weight * losses["caption"] + losses["kl"]
            )
    for key in golden.keys("loss/"):
        name = re.sub(_LAMBDA, "loss/errG", key).removeprefix("loss/")
        if name in losses:
            report.compare(
                f"adversarial/{key}", numpy(losses[name]), golden.take(key), TOLERANCE
            )
    if "errG" not in losses:
        raise MissingGoldenError(
            "its generator loss needs stream_decoder.npz, which is missing"
        )
    if golden.keys("gradnorm/"):
        gradients = tape.gradient(losses["errG"], glam.trainable_variables)
        _compare_gradients(glam, gradients, golden, report)


def _caption_loss(images, golden, decoder_golden):
    stream = _PooledDecoder(
        golden.take("caption_encoder_W"),
        load_stream_decoder(decoder_golden.take_state()),
    )
    ids = tf.constant(decoder_golden.take("captions").astype(np.int32))
    lengths = tf.constant(decoder_golden.take("lengths").astype(np.int32))
    return mean_word_loss(stream(images, ids), ids, lengths, mean=global_mean)


def _compare_gradients(glam, gradients, golden, report):
    by_variable = {
        id(variable): gradient
        for variable, gradient in zip(glam.trainable_variables, gradients, strict=True)
    }
    for entry in pytorch_entries(glam):
        if id(entry.variable) not in by_variable:
            continue
        (name,) = entry.names
        key = f"gradnorm/{name}"
        if key not in golden:
            report.gap(f"adversarial.npz has no {key}, but the parameter is trained")
            continue
        gradient = by_variable[id(entry.variable)]
        # With captions of one word nothing depends on attention's parameters.
        norm = 0.0 if gradient is None else np.linalg.norm(numpy(gradient))
        report.compare(f"adversarial/{key}", norm, golden.take(key), GRADIENT_TOLERANCE)
