import hashlib
import importlib.metadata
import json

import tensorflow as tf

from mirrorgan_tf.config.config_flags import read_config


def test_manifest_describes_training_options_packages_and_signatures(
    exported, loaded, trained_workdir
):
    manifest = json.loads((exported / "export.json").read_text())
    assert manifest["step"] == 7
    config = read_config(trained_workdir / "flags.cfg")
    assert manifest["flags"]["generator_width"] == config.generator.width == 4
    assert manifest["options"] == {
        "candidates": 4,
        "default_signature": "image",
        "dtype": "float32",
        "ema": True,
        "max_batch": 32,
        "quantize": "none",
        "redescription": True,
        "xla": False,
    }
    assert manifest["packages"]["tensorflow"] == tf.__version__
    assert manifest["packages"]["keras"] == importlib.metadata.version("keras")
    words = (trained_workdir / "vocabulary.txt").read_bytes()
    assert manifest["vocabulary"] == {
        "words": 6,
        "sha256": hashlib.sha256(words).hexdigest(),
    }
    assert manifest["sizes"] == [16, 32]
    assert set(manifest["signatures"]) == set(loaded.signatures)
    for name, signature in loaded.signatures.items():
        for kind, specs in (
            ("inputs", signature.structured_input_signature[1]),
            ("outputs", signature.structured_outputs),
        ):
            assert manifest["signatures"][name][kind] == {
                key: [spec.dtype.name, ["N", *spec.shape[1:]]]
                for key, spec in specs.items()
            }
