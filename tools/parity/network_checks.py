"""Computes the outputs in each golden file by our networks and compares them."""

import re

import numpy as np
from keras import ops

from mirrorgan_tf.losses.caption import caption_cross_entropy
from mirrorgan_tf.losses.damsm import (
    matching_losses,
    sentence_similarity,
    word_similarity,
)
from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.redescription import greedy
from tools.parity.golden import GoldenFile, Report
from tools.parity.networks import (
    load_discriminator,
    load_glam,
    load_stem,
    load_stream_decoder,
)

__all__ = [
    "TOLERANCE",
    "check_damsm",
    "check_discriminators",
    "check_glam",
    "check_stem",
    "check_stream_decoder",
    "glam_inputs",
    "numpy",
    "to_channels_first",
    "to_channels_last",
]

TOLERANCE = 1e-4

# AttnGAN's values, for files without them.
_GAMMAS = {"gamma1": 4.0, "gamma2": 5.0, "gamma3": 10.0}


def numpy(tensor) -> np.ndarray:
    """Tensor to array."""
    return ops.convert_to_numpy(tensor)


def to_channels_first(tensor) -> np.ndarray:
    """(B, h, w, C) to (B, C, h, w)."""
    return np.moveaxis(numpy(tensor), -1, 1)


def to_channels_last(array: np.ndarray) -> np.ndarray:
    """(B, C, h, w) to (B, h, w, C)."""
    return np.moveaxis(array, 1, -1)


def check_stem(golden: GoldenFile, report: Report) -> None:
    """STEM's words and sentence, without dropout."""
    stem = load_stem(golden.take_state())
    words, sentence, _ = stem(
        golden.take("captions").astype(np.int32),
        golden.take("lengths").astype(np.int32),
    )
    ours = {"words": np.moveaxis(numpy(words), 1, 2), "sentence": numpy(sentence)}
    for name in ours:
        if f"out/{name}" in golden:
            theirs = golden.take(f"out/{name}")
            # The original pads only to the longest caption of the batch.
            values = ours[name][..., : theirs.shape[-1]]
            report.compare(f"stem/{name}", values, theirs, TOLERANCE)


def check_stream_decoder(golden: GoldenFile, report: Report) -> None:
    """The decoder's logits, cross entropy and greedy search."""
    decoder = load_stream_decoder(golden.take_state())
    features = golden.take("features")
    if golden.keys("out/(packed|cross)"):
        ids = golden.take("captions").astype(np.int32)
        lengths = golden.take("lengths")
        logits = decoder(features, ids)
        rows, words = _packed_order(lengths)
        for key, ours in (
            ("out/packed_logits", numpy(logits)[rows, words]),
            (
                "out/cross_entropy",
                numpy(caption_cross_entropy(logits, ids))[rows, words].mean(),
            ),
        ):
            if key in golden:
                report.compare(
                    f"stream_decoder/{key[4:]}", ours, golden.take(key), TOLERANCE
                )
        if "out/packed_targets" in golden:
            report.compare_exactly(
                "stream_decoder/packed_targets",
                ids[rows, words],
                golden.take("out/packed_targets"),
            )
    if "out/greedy_ids" in golden:
        theirs = golden.take("out/greedy_ids")
        ours = greedy(decoder, features, theirs.shape[1], stop_at_end=False)
        report.compare_exactly(
            "stream_decoder/greedy_ids", numpy(ours).ravel(), theirs.ravel()
        )


def check_damsm(golden: GoldenFile, report: Report) -> None:
    """The four DAMSM losses, with and without class masks."""
    regions = golden.take("region_features")
    words = ops.convert_to_tensor(np.moveaxis(golden.take("words"), 1, 2))
    mask = padding_mask_from_lengths(golden.take("lengths"), words.shape[1])
    regions = np.moveaxis(regions.reshape(*regions.shape[:2], -1), 1, 2)
    regions, code, sentence = (
        ops.convert_to_tensor(array)
        for array in (regions, golden.take("image_code"), golden.take("sentence"))
    )
    gammas = {
        name: float(golden.take(name)) if name in golden else value
        for name, value in _GAMMAS.items()
    }
    by_word = word_similarity(regions, words, mask, **gammas)
    by_sentence = sentence_similarity(code, sentence, gamma3=gammas["gamma3"])
    for kind in ("noclass", "class"):
        if not golden.keys(f"{kind}/"):
            continue
        class_ids = golden.take("class_ids") if kind == "class" else None
        for name, similarity in (("words", by_word), ("sent", by_sentence)):
            for way, losses in enumerate(matching_losses(similarity, class_ids)):
                key = f"{kind}/{name}_loss{way}"
                if key in golden:
                    report.compare(
                        f"damsm/{key}",
                        numpy(losses).mean(),
                        golden.take(key),
                        TOLERANCE,
                    )


def check_discriminators(
    golden: GoldenFile, report: Report
) -> dict[int, Discriminator]:
    """Compares features and probabilities of the real images in adversarial.npz.

    Returns:
        The discriminators by number.
    """
    discriminators = {
        index: load_discriminator(golden.take_state(f"D{index}/"))
        for index in sorted(
            {int(key[1:].split("/")[0]) for key in golden.keys(r"D\d+/param/")}
        )
    }
    for index, discriminator in discriminators.items():
        sentence = golden.take("sentence")
        features = discriminator.features(to_channels_last(golden.take(f"real{index}")))
        for name, value in (
            ("features", to_channels_first(features)),
            ("cond_prob", ops.sigmoid(discriminator.conditional(features, sentence))),
            ("uncond_prob", ops.sigmoid(discriminator.unconditional(features))),
        ):
            key = f"eval/{name}{index}"
            if key in golden:
                report.compare(
                    f"adversarial/{key}", numpy(value), golden.take(key), TOLERANCE
                )
    return discriminators


def glam_inputs(golden: GoldenFile) -> dict[str, np.ndarray]:
    """Arguments of Glam from glam.npz."""
    return {
        "words": np.moveaxis(golden.take("words"), 1, 2),
        "sentence": golden.take("sentence"),
        "noise": golden.take("z"),
        "condition_noise": golden.take("eps"),
    }


def check_glam(golden: GoldenFile, report: Report) -> None:
    """GLAM's images, attention maps and condition, in each mode of the file."""
    glam = load_glam(golden.take_state())
    inputs = glam_inputs(golden)
    if golden.keys("eval/"):
        _compare_outputs(glam(**inputs), "eval", golden, report)
    if golden.keys("masked/"):
        mask = golden.take("masked/mask")
        rows = {name: array[: len(mask)] for name, array in inputs.items()}
        _compare_outputs(glam(**rows, padding_mask=mask), "masked", golden, report)
    # Must be last, since training updates the running statistics.
    if golden.keys("train/"):
        _compare_outputs(glam(**inputs, training=True), "train", golden, report)


def _compare_outputs(outputs, mode, golden, report):
    for key in golden.keys(f"{mode}/"):
        match = re.fullmatch(
            r"(image|attention)(\d+)(?:_first)?|mu|logvar", key.removeprefix(f"{mode}/")
        )
        if not match:
            continue
        kind, index = match[1] or match[0], int(match[2] or 0)
        tensors = {
            "image": outputs["images"],
            "attention": outputs["word_attention"],
            "mu": [outputs["mu"]],
            "logvar": [outputs["log_var"]],
        }[kind]
        if index >= len(tensors):
            # Stays unused, and is reported as not compared.
            continue
        theirs = golden.take(key)
        ours = numpy(tensors[index])[: len(theirs)]
        if ours.ndim == 4:
            ours = np.moveaxis(ours, -1, 1)
        if kind == "attention" and theirs.ndim == 4:
            stride = max(1, ours.shape[2] // theirs.shape[2])
            ours = ours[:, :, ::stride, ::stride]
        report.compare(f"glam/{key}", ours, theirs, TOLERANCE)


def _packed_order(lengths):
    """Rows and positions of the words, time-major, longest caption first."""
    order = np.argsort(-lengths, kind="stable")
    pairs = [
        (row, word)
        for word in range(lengths.max())
        for row in order
        if word < lengths[row]
    ]
    rows, words = zip(*pairs, strict=True)
    return np.array(rows), np.array(words)
