import contextlib

import keras
import pytest
from keras import layers

from mirrorgan_tf.models import backbones, torchvision


@contextlib.contextmanager
def _replaced(**builds):
    """Replaces torchvision's networks by others, given as (side, build)."""
    with pytest.MonkeyPatch.context() as patch:
        for name, (size_px, build) in builds.items():
            architecture = backbones._FROZEN_NETWORKS[name]._replace(
                build=build, size_px=size_px
            )
            patch.setitem(backbones._FROZEN_NETWORKS, name, architecture)
        yield


@pytest.fixture(scope="module")
def thin_backbones():
    """torchvision's networks with all their layers, but few channels."""
    with _replaced(
        inception_v3_torchvision=(
            75,
            lambda side: torchvision.inception_v3(side, 1 / 16),
        ),
        resnet152_torchvision=(64, lambda side: torchvision.resnet152(side, 2)),
    ):
        yield


def _tiny_inception(side):
    """A small network with some of Inception's names, which builds quickly."""
    images = x = layers.Input((side, side, 3))
    for name in ("Conv2d_1a_3x3", "Mixed_6e"):
        # Mixed_5d is the largest feature map; in this network it has no weights.
        if name == "Mixed_6e":
            x = layers.Identity(name="Mixed_5d")(x)
        x = layers.Conv2D(4, 3, 2, use_bias=False, name=f"{name}.conv")(x)
        x = layers.BatchNormalization(name=f"{name}.bn")(x)
        x = layers.ReLU(name=name)(x)
    return keras.Model(images, layers.Identity(name="Mixed_7c")(x))


@pytest.fixture(scope="module")
def tiny_backbones():
    """Small networks with some of torchvision's names, for tests that need no more."""
    with _replaced(
        inception_v3_torchvision=(16, _tiny_inception),
        resnet152_torchvision=(
            32,
            lambda side: torchvision.resnet152(side, 2, (1, 1, 1, 1)),
        ),
    ):
        yield
