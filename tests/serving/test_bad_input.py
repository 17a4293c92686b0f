import numpy as np
import pytest
import tensorflow as tf

UNUSUAL_CAPTIONS = {
    "empty": "",
    "spaces": "   ",
    "punctuation": "?!",
    "unknown words": "zebra qwerty",
    "invalid UTF-8": b"\xff\xfe",
    "NUL bytes": b"\x00\x00",
    "mixed scripts": "a красная 鳥 bird",
    "a megabyte": "red " * 250_000,
    "a megabyte of one word": "r" * 1_000_000,
    "a megabyte of no letters": b"\xc3" * 1_000_000,
}
INPUTS = {
    tf.string: lambda rows, caption: [caption] * rows,
    tf.int64: lambda rows, _: list(range(rows)),
    tf.float32: lambda rows, _: [0.5] * rows,
}


def call(signature, rows, caption="a bird", **others):
    specs = signature.structured_input_signature[1]
    inputs = {
        name: tf.constant(INPUTS[spec.dtype](rows, caption), spec.dtype)
        for name, spec in specs.items()
    }
    outputs = signature(**(inputs | others))
    return {name: value.numpy() for name, value in outputs.items()}


NAMES = [
    "best_of",
    "embed",
    "explain",
    "interpolate",
    "jpeg",
    "png",
    "redescribe",
    "seeded",
    "serving_default",
]


def test_every_signature_is_tested_here(loaded):
    assert sorted(loaded.signatures) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_unusual_captions_give_finite_images(loaded, name):
    for kind, caption in UNUSUAL_CAPTIONS.items():
        for output, value in call(loaded.signatures[name], 1, caption).items():
            assert value.shape[0] == 1, kind
            if value.dtype == np.float32:
                assert np.isfinite(value).all(), (kind, output)
            if output == "image":
                # NaN would give a single colour.
                assert value.std() > 0, kind


def test_captions_without_known_words_have_length_0(loaded):
    lengths = {
        kind: int(call(loaded.signatures["embed"], 1, caption)["length"][0])
        for kind, caption in UNUSUAL_CAPTIONS.items()
    }
    known_words = {"a megabyte": 6, "mixed scripts": 2}
    assert lengths == {kind: known_words.get(kind, 0) for kind in UNUSUAL_CAPTIONS}


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_rows(loaded, name):
    signature = loaded.signatures[name]
    for output, value in call(signature, 0).items():
        spec = signature.structured_outputs[output]
        assert value.shape == (0, *spec.shape[1:])
        assert value.dtype == (object if spec.dtype == tf.string else spec.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_too_many_rows_are_refused(loaded, name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 32 a request"):
        call(loaded.signatures[name], 33)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1])
def test_extreme_seeds_are_valid(loaded, seed):
    seeds = tf.constant([seed], tf.int64)
    image = call(loaded.signatures["seeded"], 1, seed=seeds)["image"]
    assert image.std() > 0
    assert (call(loaded.signatures["seeded"], 1)["image"] != image).any()
    # The seeds of candidates wrap around.
    best = call(loaded.signatures["best_of"], 1, seed=seeds)["seed"]
    chosen = (int(best[0]) - seed) % 2**64
    assert chosen in range(4)
