"""MirrorGAN (Qiao et al., CVPR 2019) for Keras 3 and TensorFlow."""

import sys
import time

from mirrorgan_tf import interrupts

__all__ = ["MirrorGAN", "__version__"]

__version__ = "0.1.0"

# Before everything that takes its time: a start-up is counted from here.
IMPORTED_S = time.monotonic()

# Python's name for a program of `python -m` while it looks for the module: the package
# is imported to run one of its commands.
if sys.argv[:1] == ["-m"]:
    interrupts.exit_on_interrupt()


def __getattr__(name: str) -> object:
    # Importing TensorFlow takes seconds: only who uses the API waits for it.
    if name == "MirrorGAN":
        import mirrorgan_tf.keras_settings  # noqa: F401
        from mirrorgan_tf.mirrorgan import MirrorGAN

        return MirrorGAN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
