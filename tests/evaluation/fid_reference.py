"""Features of pytorch-fid's Inception with weights of a closed form.

`python -m tests.evaluation.fid_reference [FILE]` writes FILE, by default
fid_inception.npz in this folder. It needs torch, torchvision and pytorch-fid, but no
TensorFlow and no download.
"""

import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np

GOLDEN = Path(__file__).with_name("fid_inception.npz")


def closed_form_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights that depend only on their names and keep activations near 1."""
    state = {}
    for name, shape in shapes.items():
        numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(
            shape, np.float32
        )
        if name.endswith("running_var"):
            numbers = 1 + 0.2 * np.tanh(numbers)
        elif name.endswith("bn.weight"):
            numbers = 1 + 0.1 * numbers
        elif len(shape) > 1:
            numbers *= np.sqrt(2 / np.prod(shape[1:]))
        else:
            numbers *= 0.1
        state[name] = numbers.astype(np.float32)
    return state


def images() -> list[np.ndarray]:
    """One image that is enlarged to 299 px and one that is reduced, uint8."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), np.uint8) for size in (64, 320)]


def pytorch_features() -> np.ndarray:
    """(2, 2048), by pytorch-fid."""
    import torch
    from pytorch_fid import inception

    # The constructor downloads the real weights.
    with (
        mock.patch.object(inception, "load_state_dict_from_url", return_value={}),
        mock.patch.object(torch.nn.Module, "load_state_dict"),
    ):
        wrapped = inception.fid_inception_v3()
    state = closed_form_state(
        {
            name: tuple(tensor.shape)
            for name, tensor in wrapped.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
    )
    with mock.patch.object(
        inception,
        "load_state_dict_from_url",
        return_value={name: torch.from_numpy(array) for name, array in state.items()},
    ):
        network = inception.InceptionV3([3]).eval()
    features = []
    with torch.no_grad():
        for image in images():
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            features.append(network(pixels)[0][0, :, 0, 0].numpy())
    return np.stack(features)


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else GOLDEN
    np.savez_compressed(path, features=pytorch_features())
