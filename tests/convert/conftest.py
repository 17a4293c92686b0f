import pytest

from mirrorgan_tf.models import backbones, torchvision


@pytest.fixture(scope="module")
def thin_backbones():
    """torchvision's networks with all their layers, but few channels."""
    thin = {
        "inception_v3_torchvision": ("Mixed_6e", 75, torchvision.inception_v3, 1 / 16),
        "resnet152_torchvision": ("layer3", 64, torchvision.resnet152, 2),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, (region_layer, size_px, build, width) in thin.items():
            architecture = backbones._IMAGENET[name]._replace(
                build=lambda size_px, build=build, width=width: build(size_px, width),
                size_px=size_px,
            )
            assert architecture.region_layer == region_layer
            patch.setitem(backbones._IMAGENET, name, architecture)
        yield
