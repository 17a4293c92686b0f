import hashlib
import importlib.metadata
import json

import tensorflow as tf

from mirrorgan_tf.config.config_flags import read_config


def read(exported):
    return json.loads((exported / "export.json").read_text())


def test_it_tells_where_the_model_comes_from(exported, trained_workdir):
    told = read(exported)
    assert told["step"] == 7
    config = read_config(trained_workdir / "flags.cfg")
    assert told["flags"]["generator_width"] == config.generator.width == 4
    assert told["options"] == {
        "candidates": 4,
        "dtype": "float32",
        "ema": True,
        "max_batch": 32,
        "quantize": "none",
        "redescription": True,
        "xla": False,
    }
    assert told["packages"]["tensorflow"] == tf.__version__
    assert told["packages"]["keras"] == importlib.metadata.version("keras")
    words = (trained_workdir / "vocabulary.txt").read_bytes()
    assert told["vocabulary"] == {
        "words": 6,
        "sha256": hashlib.sha256(words).hexdigest(),
    }
    assert told["sizes"] == [16, 32]


def test_its_signatures_are_those_that_are_served(exported, loaded):
    told = read(exported)["signatures"]
    assert set(told) == set(loaded.signatures)
    for name, signature in loaded.signatures.items():
        for kind, specs in (
            ("inputs", signature.structured_input_signature[1]),
            ("outputs", signature.structured_outputs),
        ):
            assert told[name][kind] == {
                key: [spec.dtype.name, ["N", *spec.shape[1:]]]
                for key, spec in specs.items()
            }


def test_nothing_else_lies_in_the_folder(exported):
    assert not list((exported / "assets").iterdir())
    assert sorted(path.name for path in exported.iterdir()) == [
        "assets",
        "assets.extra",
        "export.json",
        "fingerprint.pb",
        "saved_model.pb",
        "variables",
    ]
