"""MirrorGAN (Qiao et al., CVPR 2019) for Keras 3 and TensorFlow."""

__version__ = "0.1.0"
