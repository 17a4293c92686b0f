"""MirrorGAN (Qiao et al., CVPR 2019) for Keras 3 and TensorFlow."""

import sys
import time

from mirrorgan_tf import interrupts

__version__ = "0.1.0"

# Before everything that takes its time: a start-up is counted from here.
IMPORTED_S = time.monotonic()

# Python's name for a program of `python -m` while it looks for the module: the package
# is imported to run one of its commands.
if sys.argv[:1] == ["-m"]:
    interrupts.exit_on_interrupt()
