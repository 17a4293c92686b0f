"""`export.json`: training, options and packages of an exported model."""

import hashlib
import importlib.metadata
import platform

import mirrorgan_tf
from mirrorgan_tf.mirrorgan import MirrorGAN

__all__ = ["MANIFEST_FILE", "describe_export"]

MANIFEST_FILE = "export.json"

_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-nlp", "numpy")


def describe_export(model: MirrorGAN, options: dict, endpoints: dict) -> dict:
    """The content of `export.json`.

    Args:
        model: the exported model.
        options: of the export, by flag name.
        endpoints: concrete functions by signature name.

    Returns:
        dict of JSON values: `step` of stage glam's checkpoint, `flags` of the training,
        `options`, `packages` and their versions, `vocabulary` (words, sha256 of
        `vocabulary.txt`), `sizes` of the images in px, and `signatures`: for each its
        inputs and outputs, [dtype, [N, ..]] by name.
    """
    words = model.tokenizer.vocabulary.words
    text = "".join(f"{word}\n" for word in words)
    return {
        "step": model.step,
        "flags": model.config.to_flags(paths=False),
        "options": options,
        "packages": {
            "python": platform.python_version(),
            "mirrorgan_tf": mirrorgan_tf.__version__,
        }
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "vocabulary": {
            "words": len(words),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "sizes": list(model.config.sizes),
        "signatures": {
            name: {
                "inputs": _specs(endpoint.structured_input_signature[1]),
                "outputs": _specs(endpoint.structured_outputs),
            }
            for name, endpoint in endpoints.items()
        },
    }


def _specs(specs):
    return {
        name: [spec.dtype.name, ["N", *spec.shape[1:]]] for name, spec in specs.items()
    }
