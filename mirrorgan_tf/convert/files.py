"""Reads files of PyTorch parameters: .npz, .safetensors, and .pth through PyTorch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mirrorgan_tf.convert.npz import read_npz
from mirrorgan_tf.convert.torch_files import check_torch_file
from mirrorgan_tf.downloads import check_weights_file
from mirrorgan_tf.errors import UserError, first_line
from mirrorgan_tf.files import read_bytes

__all__ = ["read_state"]

# Keys of the parameters in dictionaries that training scripts save.
_STATE_KEYS = ("state_dict", "model_state_dict", "model")
_DATA_PARALLEL_PREFIX = "module."
# All tensors may have this many times the size of the file, because they may share
# memory, like tied weights.
_LARGEST_FACTOR = 16
_SAFETENSORS_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    # NumPy has no bfloat16, which is the upper half of a float32.
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "u1",
}


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a network's parameters by their names.

    A dictionary around the parameters ({"state_dict": ...}) and DataParallel's prefix
    are removed. Floats become float32.

    Args:
        path: .npz, .safetensors or PyTorch's with any suffix (.pth, .pt, .ckpt, ...).

    Raises:
        UserError: the file can't be read, is not a dictionary of tensors, contains
            numbers that are not finite, or needs a package that is not installed.
    """
    path = Path(path)
    check_weights_file(path)
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix == ".npz":
        state = read_npz(path)
    else:
        state = _read_torch(path)
    if not state:
        raise UserError(f"{path}: contains no parameters")
    if all(name.startswith(_DATA_PARALLEL_PREFIX) for name in state):
        state = {
            name.removeprefix(_DATA_PARALLEL_PREFIX): array
            for name, array in state.items()
        }
    return {
        name: _to_float32(array, f"{path}: {name}") for name, array in state.items()
    }


def _to_float32(array, source):
    """Returns floats as float32 and integers unchanged; refuses other types."""
    if array.dtype.kind not in "fiub":
        raise UserError(f"{source} has type {array.dtype}, not numbers")
    if array.dtype.kind != "f":
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{source} contains numbers that are not finite")
    return array


def _read_safetensors(path):
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError:
        raise UserError(
            f"{path}: needs the package safetensors: pip install 'mirrorgan_tf[torch]'"
        ) from None
    try:
        # The package checks that the tensors in the header fill the file exactly.
        tensors = deserialize(read_bytes(path))
        return {name: _safetensors_array(name, tensor) for name, tensor in tensors}
    # NumPy raises a ValueError for shapes that no array can have.
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: is not a valid .safetensors file ({reason})"
        ) from None


def _safetensors_array(name, tensor):
    dtype = tensor["dtype"]
    if dtype not in _SAFETENSORS_DTYPES:
        raise ValueError(f"{name} has the type {dtype}, which is not supported")
    array = np.frombuffer(tensor["data"], _SAFETENSORS_DTYPES[dtype])
    array = array.reshape(tensor["shape"])
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array


def _read_torch(path):
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path}: needs PyTorch: pip install 'mirrorgan_tf[torch]', or convert it "
            "to .npz where PyTorch is installed (docs/conversion.md)"
        ) from None
    try:
        check_torch_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    # PyTorch can raise any exception for damaged files.
    except Exception as error:
        raise UserError(
            f"{path}: PyTorch can't read it as a dictionary of tensors "
            f"({first_line(error)[:200]}); if it is a pickled network, load it with "
            "its own code and save its state_dict()"
        ) from None
    for key in _STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: contains a {type(content).__name__}, not parameters by name"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: {name} is a {type(value).__name__}, not a tensor; save the "
                "network's state_dict() alone"
            )
    # A tensor that repeats a few numbers by strides of 0 may take much memory as array.
    total_bytes = sum(
        tensor.numel() * tensor.element_size() for tensor in content.values()
    )
    if total_bytes > _LARGEST_FACTOR * path.stat().st_size:
        raise UserError(
            f"{path}: its tensors have {total_bytes:,} bytes, more than "
            f"{_LARGEST_FACTOR} times the file's; save contiguous tensors"
        )
    return {name: _to_numpy(tensor) for name, tensor in content.items()}


def _to_numpy(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
