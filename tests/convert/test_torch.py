"""Comparisons with PyTorch's operations and files; skipped without PyTorch."""

import collections
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra torch is not installed")

from mirrorgan_tf.convert.files import read_state  # noqa: E402
from mirrorgan_tf.convert.loading import load_pytorch_state  # noqa: E402
from mirrorgan_tf.errors import UserError  # noqa: E402
from mirrorgan_tf.models import backbones  # noqa: E402
from tests.convert import torchvision_reference as reference  # noqa: E402
from tests.convert.test_torchvision import (  # noqa: E402
    BLOCKS,
    all_features,
    assert_close,
    build_image_encoder,
    build_stream_encoder,
    random_images,
    their_shapes,
)


@pytest.mark.parametrize(
    "build, run, last, regions",
    [
        (build_image_encoder, reference.inception_v3, "Mixed_7c", "Mixed_6e"),
        (
            build_stream_encoder,
            lambda net, x: reference.resnet(net, x, BLOCKS),
            "layer4",
            "layer3",
        ),
    ],
)
def test_features_at_full_size_equal_pytorchs(build, run, last, regions):
    encoder = build()
    state = reference.random_state(their_shapes(encoder))
    load_pytorch_state(encoder, state)
    net = reference.Torch(state)
    size = encoder.backbone.size
    # Larger and smaller than the networks' input: both are resized.
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


STATE = collections.OrderedDict(
    [
        ("encoder.weight", torch.arange(6.0).reshape(2, 3) / 7),
        ("bn.num_batches_tracked", torch.tensor(5)),
        ("half.bias", torch.tensor([1.5, -2.0], dtype=torch.bfloat16)),
    ]
)


def assert_equals_state(read):
    assert list(read) == list(STATE)
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(read[name], tensor.float().numpy())


def save(path, content, *, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["net.pth", "rnn_decoder.ckpt", "net.bin"])
def test_current_and_old_formats_are_read(tmp_path, zipped, name):
    assert_equals_state(read_state(save(tmp_path / name, STATE, zipped=zipped)))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"epoch": 600, "state_dict": state, "optimizer": {"lr": [1.0]}},
        lambda state: {"model": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {n: torch.nn.Parameter(t, False) for n, t in state.items()},
    ],
)
def test_wrappers_around_the_parameters_are_removed(tmp_path, wrap):
    assert_equals_state(read_state(save(tmp_path / "net.pth", wrap(STATE))))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content, message",
    [
        (torch.nn.LSTM(2, 3), r"save its state_dict\(\)$"),
        ([1, 2], "contains a list, not parameters by name"),
        ({"lr": 0.1, "a": torch.ones(1)}, r"lr is a float, .*state_dict\(\) alone"),
        ({}, "contains no parameters"),
        ({"a": torch.tensor([np.nan])}, "a contains numbers that are not finite"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, message, zipped):
    path = save(tmp_path / "net.pth", content, zipped=zipped)
    with pytest.raises(UserError, match=message) as caught:
        read_state(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q", b"text"])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="net.pth: PyTorch can't read it"):
        read_state(path)


def test_documented_command_writes_an_npz(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "conversion.md").read_text()
    (line,) = re.findall(r"^python -c .*torch.load.*$", page, re.MULTILINE)
    _, *arguments = shlex.split(line)
    save(tmp_path / "text_encoder200.pth", STATE)
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, timeout=300)
    assert_equals_state(read_state(tmp_path / "text_encoder200.npz"))
