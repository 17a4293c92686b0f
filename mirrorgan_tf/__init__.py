"""MirrorGAN (Qiao et al., CVPR 2019) for Keras 3 and TensorFlow."""

import importlib
import sys

from mirrorgan_tf import interrupts

__all__ = ["Config", "MirrorGAN", "__version__", "fit"]

__version__ = "0.1.0"

# Python's name for a program of `python -m` while it looks for the module: the package
# is imported to run one of its commands.
if sys.argv[:1] == ["-m"]:
    interrupts.exit_on_interrupt()


# Importing TensorFlow takes seconds: only programs that use these names wait for it.
_LAZY_NAMES = {
    "Config": "mirrorgan_tf.config",
    "MirrorGAN": "mirrorgan_tf.mirrorgan",
    "fit": "mirrorgan_tf.fitting",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Before Keras and TensorFlow.
    importlib.import_module("mirrorgan_tf.keras_settings")
    return getattr(importlib.import_module(_LAZY_NAMES[name]), name)
