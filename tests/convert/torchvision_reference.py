"""torchvision's Inception v3 and ResNet, written in plain operations.

`TensorFlow` has tf.nn's operations with explicit padding, `Torch` has PyTorch's. Both
read parameters by torchvision's names. The networks return features by stage.
"""

import numpy as np
import tensorflow as tf


def random_state(shapes, seed=0):
    """Random parameters with which features keep their scale through all layers."""
    random = np.random.default_rng(seed)

    def sample(name, shape):
        if name.endswith("running_var"):
            return random.uniform(0.5, 1.5, shape)
        if name.endswith(".weight") and len(shape) == 1:
            # The branch of a residual block must be smaller than its input.
            return random.uniform(0.5, 1.5, shape) * (0.2 if ".bn3." in name else 1)
        if name.endswith(".weight"):
            return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        return random.normal(0, 0.1, shape)

    return {name: sample(name, s).astype(np.float32) for name, s in shapes.items()}


class TensorFlow:
    """Plain operations on (B, h, w, C)."""

    def __init__(self, state):
        self.state = state

    def enter(self, images):
        return tf.constant(images)

    def leave(self, x):
        return x.numpy()

    def _pad(self, x, padding, value=0.0):
        (rows, columns) = padding
        margins = [[0, 0], [rows, rows], [columns, columns], [0, 0]]
        return tf.pad(x, margins, constant_values=value)

    def conv(self, x, name, stride=1, padding=(0, 0)):
        kernel = self.state[f"{name}.weight"].transpose(2, 3, 1, 0)
        return tf.nn.conv2d(self._pad(x, padding), kernel, stride, "VALID")

    def norm(self, x, name, epsilon):
        gamma, beta, mean, variance = (
            self.state[f"{name}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta

    def relu(self, x):
        return tf.maximum(x, 0.0)

    def max_pool(self, x, padding=0):
        x = self._pad(x, (padding, padding), value=-np.inf)
        return tf.nn.max_pool2d(x, 3, 2, "VALID")

    def average_pool(self, x):
        windows = tf.image.extract_patches(
            self._pad(x, (1, 1)), [1, 3, 3, 1], [1] * 4, [1] * 4, "VALID"
        )
        shape = tf.shape(windows)
        return tf.reduce_mean(tf.reshape(windows, [*shape[:3], 9, x.shape[-1]]), axis=3)

    def concat(self, parts):
        return tf.concat(parts, axis=-1)


class Torch:
    """PyTorch's operations on (B, C, h, w)."""

    def __init__(self, state):
        import torch

        self.torch = torch
        self.state = {name: torch.from_numpy(a) for name, a in state.items()}

    def enter(self, images):
        return self.torch.from_numpy(np.moveaxis(images, -1, 1).copy())

    def leave(self, x):
        return np.moveaxis(x.numpy(), 1, -1)

    def resize(self, x, size):
        return self.torch.nn.functional.interpolate(
            x, size=(size, size), mode="bilinear", align_corners=False
        )

    def conv(self, x, name, stride=1, padding=(0, 0)):
        kernel = self.state[f"{name}.weight"]
        return self.torch.nn.functional.conv2d(
            x, kernel, stride=stride, padding=padding
        )

    def norm(self, x, name, epsilon):
        gamma, beta, mean, variance = (
            self.state[f"{name}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return self.torch.nn.functional.batch_norm(
            x, mean, variance, gamma, beta, eps=epsilon
        )

    def relu(self, x):
        return self.torch.relu(x)

    def max_pool(self, x, padding=0):
        return self.torch.nn.functional.max_pool2d(
            x, kernel_size=3, stride=2, padding=padding
        )

    def average_pool(self, x):
        return self.torch.nn.functional.avg_pool2d(
            x, kernel_size=3, stride=1, padding=1
        )

    def concat(self, parts):
        return self.torch.cat(parts, dim=1)


# The branches of each kind of block: chains of convolutions (name, stride, padding)
# and poolings.
_1 = (1, (0, 0))
_A = [
    [("branch1x1", *_1)],
    [("branch5x5_1", *_1), ("branch5x5_2", 1, (2, 2))],
    [
        ("branch3x3dbl_1", *_1),
        ("branch3x3dbl_2", 1, (1, 1)),
        ("branch3x3dbl_3", 1, (1, 1)),
    ],
    ["average", ("branch_pool", *_1)],
]
_B = [
    [("branch3x3", 2, (0, 0))],
    [
        ("branch3x3dbl_1", *_1),
        ("branch3x3dbl_2", 1, (1, 1)),
        ("branch3x3dbl_3", 2, (0, 0)),
    ],
    ["max"],
]
_C = [
    [("branch1x1", *_1)],
    [("branch7x7_1", *_1), ("branch7x7_2", 1, (0, 3)), ("branch7x7_3", 1, (3, 0))],
    [
        ("branch7x7dbl_1", *_1),
        ("branch7x7dbl_2", 1, (3, 0)),
        ("branch7x7dbl_3", 1, (0, 3)),
        ("branch7x7dbl_4", 1, (3, 0)),
        ("branch7x7dbl_5", 1, (0, 3)),
    ],
    ["average", ("branch_pool", *_1)],
]
_D = [
    [("branch3x3_1", *_1), ("branch3x3_2", 2, (0, 0))],
    [
        ("branch7x7x3_1", *_1),
        ("branch7x7x3_2", 1, (0, 3)),
        ("branch7x7x3_3", 1, (3, 0)),
        ("branch7x7x3_4", 2, (0, 0)),
    ],
    ["max"],
]
_E = [
    [("branch1x1", *_1)],
    [("branch3x3_1", *_1), ("branch3x3_2a", 1, (0, 1))],
    [("branch3x3_1", *_1), ("branch3x3_2b", 1, (1, 0))],
    [
        ("branch3x3dbl_1", *_1),
        ("branch3x3dbl_2", 1, (1, 1)),
        ("branch3x3dbl_3a", 1, (0, 1)),
    ],
    [
        ("branch3x3dbl_1", *_1),
        ("branch3x3dbl_2", 1, (1, 1)),
        ("branch3x3dbl_3b", 1, (1, 0)),
    ],
    ["average", ("branch_pool", *_1)],
]
_STEM = [
    ("Conv2d_1a_3x3", 2, (0, 0)),
    ("Conv2d_2a_3x3", 1, (0, 0)),
    ("Conv2d_2b_3x3", 1, (1, 1)),
    "max",
    ("Conv2d_3b_1x1", 1, (0, 0)),
    ("Conv2d_4a_3x3", 1, (0, 0)),
    "max",
]
_BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}


def inception_v3(net, x):
    """Features of every stage, by torchvision's names."""
    stages = {}

    def run(x, chain, prefix, outputs=None):
        for link in chain:
            if link == "max":
                x = net.max_pool(x)
            elif link == "average":
                x = net.average_pool(x)
            else:
                name, stride, padding = link
                x = net.conv(x, f"{prefix}{name}.conv", stride, padding)
                x = net.relu(net.norm(x, f"{prefix}{name}.bn", 0.001))
                if outputs is not None:
                    outputs[name] = x
        return x

    x = run(x, _STEM, "", stages)
    for name, branches in _BLOCKS.items():
        x = net.concat([run(x, chain, f"{name}.") for chain in branches])
        stages[name] = x
    return stages


def resnet(net, x, blocks):
    """Features of every stage; modules are named by position, as in STREAM."""
    conv1, bn1, *layers = (f"resnet.{place}" for place in (0, 1, 4, 5, 6, 7))
    stages = {}
    x = net.relu(net.norm(net.conv(x, conv1, 2, (3, 3)), bn1, 1e-5))
    stages["relu"] = x
    stages["maxpool"] = x = net.max_pool(x, padding=1)
    for number, (layer, count) in enumerate(zip(layers, blocks, strict=True), start=1):
        for i in range(count):
            name = f"{layer}.{i}"
            stride = 2 if number > 1 and i == 0 else 1
            inner = net.relu(
                net.norm(net.conv(x, f"{name}.conv1"), f"{name}.bn1", 1e-5)
            )
            inner = net.conv(inner, f"{name}.conv2", stride, (1, 1))
            inner = net.relu(net.norm(inner, f"{name}.bn2", 1e-5))
            inner = net.norm(net.conv(inner, f"{name}.conv3"), f"{name}.bn3", 1e-5)
            if f"{name}.downsample.0.weight" in net.state:
                x = net.conv(x, f"{name}.downsample.0", stride)
                x = net.norm(x, f"{name}.downsample.1", 1e-5)
            x = net.relu(inner + x)
        stages[f"layer{number}"] = x
    return stages
