import numpy as np
import pytest
import tensorflow as tf

ODD = {
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
FEEDS = {
    tf.string: lambda rows, caption: [caption] * rows,
    tf.int64: lambda rows, _: list(range(rows)),
    tf.float32: lambda rows, _: [0.5] * rows,
}


def ask(signature, rows, caption="a bird", **others):
    specs = signature.structured_input_signature[1]
    inputs = {
        name: tf.constant(FEEDS[spec.dtype](rows, caption), spec.dtype)
        for name, spec in specs.items()
    }
    answer = signature(**(inputs | others))
    return {name: value.numpy() for name, value in answer.items()}


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


def test_all_signatures_are_asked(loaded):
    assert sorted(loaded.signatures) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_odd_captions_have_answers(loaded, name):
    for kind, caption in ODD.items():
        for output, value in ask(loaded.signatures[name], 1, caption).items():
            assert value.shape[0] == 1, kind
            if value.dtype == np.float32:
                assert np.isfinite(value).all(), (kind, output)
            if output == "image":
                # NaN would become one constant colour.
                assert value.std() > 0, kind


def test_what_has_no_known_word_has_length_0(loaded):
    lengths = {
        kind: int(ask(loaded.signatures["embed"], 1, caption)["length"][0])
        for kind, caption in ODD.items()
    }
    full = {"a megabyte": 6, "mixed scripts": 2}
    assert lengths == {kind: full.get(kind, 0) for kind in ODD}


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_rows(loaded, name):
    signature = loaded.signatures[name]
    for output, value in ask(signature, 0).items():
        spec = signature.structured_outputs[output]
        assert value.shape == (0, *spec.shape[1:])
        assert value.dtype == (object if spec.dtype == tf.string else spec.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_too_many_rows_are_refused(loaded, name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 32 a request"):
        ask(loaded.signatures[name], 33)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1])
def test_any_seed_will_do(loaded, seed):
    seeds = tf.constant([seed], tf.int64)
    image = ask(loaded.signatures["seeded"], 1, seed=seeds)["image"]
    assert image.std() > 0
    assert (ask(loaded.signatures["seeded"], 1)["image"] != image).any()
    # Candidates' seeds wrap around.
    best = ask(loaded.signatures["best_of"], 1, seed=seeds)["seed"]
    chosen = (int(best[0]) - seed) % 2**64
    assert chosen in range(4)


@pytest.mark.parametrize("name", NAMES)
def test_malformed_requests_are_tensorflows_to_refuse(loaded, name):
    signature = loaded.signatures[name]
    captions = [key for key in signature.structured_input_signature[1]]
    wrong = [tf.constant([1.0 + 1j]), tf.constant([["a"]]), tf.constant("a")]
    errors = (TypeError, ValueError, tf.errors.InvalidArgumentError)
    for value in wrong:
        with pytest.raises(errors):
            ask(signature, 1, **{captions[0]: value})
    with pytest.raises(errors):
        ask(signature, 1, unheard_of=tf.constant([1]))
    with pytest.raises(errors):
        signature()
