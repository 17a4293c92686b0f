"""What needs PyTorch: its own operations and files beside ours."""

import pytest

torch = pytest.importorskip("torch", reason="extra torch is not installed")

from mirrorgan_tf.convert.loading import load_pytorch_state  # noqa: E402
from mirrorgan_tf.models import backbones  # noqa: E402
from tests.convert import torchvision_reference as reference  # noqa: E402
from tests.convert.test_torchvision import (  # noqa: E402
    BLOCKS,
    all_features,
    assert_close,
    make_image_encoder,
    make_stream_encoder,
    random_images,
    their_shapes,
)


@pytest.mark.parametrize(
    "make, run, last, regions",
    [
        (make_image_encoder, reference.inception_v3, "Mixed_7c", "Mixed_6e"),
        (
            make_stream_encoder,
            lambda net, x: reference.resnet(net, x, BLOCKS),
            "layer4",
            "layer3",
        ),
    ],
)
def test_every_stage_at_full_size_agrees_with_torch(make, run, last, regions):
    encoder = make()
    state = reference.random_state(their_shapes(encoder))
    load_pytorch_state(encoder, state)
    net = reference.Torch(state)
    size = encoder.backbone.size
    # Made smaller by ResNet's input, and bigger.
    for side in (256, 64):
        images = random_images(side)
        resized = net.resize(net.enter(images), size)
        theirs = {name: net.leave(x) for name, x in run(net, resized).items()}
        ours = all_features(
            encoder.backbone.network, list(theirs), backbones._resize(images, size)
        )
        for name, features in theirs.items():
            assert_close(ours[name], features, 1e-5)
        feature_map, pooled = encoder.backbone(images)
        assert_close(feature_map.numpy(), theirs[regions], 1e-5)
        assert_close(pooled.numpy(), theirs[last].mean(axis=(1, 2)), 1e-5)
