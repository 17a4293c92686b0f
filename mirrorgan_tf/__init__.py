"""MirrorGAN (Qiao et al., CVPR 2019) for Keras 3 and TensorFlow."""

import time

__version__ = "0.1.0"

# Before everything that takes its time: a start-up is counted from here.
IMPORTED_S = time.monotonic()
