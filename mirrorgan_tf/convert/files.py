"""Files of PyTorch parameters: .pth by torch, .npz and .safetensors without it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mirrorgan_tf.convert.npz import read_npz
from mirrorgan_tf.convert.safetensors import read_safetensors
from mirrorgan_tf.convert.torch_files import check_torch_file
from mirrorgan_tf.downloads import check_weights_file
from mirrorgan_tf.errors import UserError

__all__ = ["read_state"]

# What training scripts call the parameters among other things that they save.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# DataParallel's prefix.
_PARALLEL = "module."
# Tensors may share their numbers, as tied weights do.
_LARGEST_FACTOR = 16


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a network's parameters by their names.

    A dict around the parameters ({"state_dict": ...}) and DataParallel's prefix are
    taken off. Half precision becomes float32.

    Args:
        path: .npz, .safetensors; anything else is torch's (.pth, .pt, .ckpt, ...).

    Raises:
        UserError: the file can't be read, is no dict of tensors, holds numbers that
            are not finite, or torch is needed and not there.
    """
    path = Path(path)
    check_weights_file(path)
    if path.suffix == ".safetensors":
        state = read_safetensors(path)
    elif path.suffix == ".npz":
        state = read_npz(path)
    else:
        state = _read_torch(path)
    if not state:
        raise UserError(f"{path}: holds no parameters")
    if all(name.startswith(_PARALLEL) for name in state):
        state = {name.removeprefix(_PARALLEL): a for name, a in state.items()}
    return {name: _checked(array, f"{path}: {name}") for name, array in state.items()}


def _checked(array, where):
    if array.dtype.kind not in "fiub":
        raise UserError(f"{where} holds {array.dtype}, not numbers")
    if array.dtype.kind != "f":
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{where} holds numbers that are not finite")
    return array


def _read_torch(path):
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path}: PyTorch reads such a file: pip install 'mirrorgan_tf[torch]', or "
            "make an .npz of it where PyTorch is (README, Official checkpoints)"
        ) from None
    try:
        check_torch_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files raise whatever their bytes happen to say.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{path}: PyTorch does not read it as tensors alone ({lines[0][:200]}); if "
            "a whole network was pickled, load it in the code that made it and save "
            "its state_dict()"
        ) from None
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds a {type(content).__name__}, not parameters by name"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: {name} is a {type(value).__name__}, not a tensor; save the "
                "network's state_dict() alone"
            )
    # Views of few numbers as many would be written out as arrays.
    written_out = sum(
        tensor.numel() * tensor.element_size() for tensor in content.values()
    )
    if written_out > _LARGEST_FACTOR * path.stat().st_size:
        raise UserError(
            f"{path}: its tensors would have {written_out:,} bytes, more than "
            f"{_LARGEST_FACTOR} times the file's; save contiguous tensors"
        )
    return {name: _to_numpy(tensor) for name, tensor in content.items()}


def _to_numpy(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
