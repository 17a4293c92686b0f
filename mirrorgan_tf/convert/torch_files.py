"""Checks a PyTorch file before PyTorch reads it, because it may need much memory.

With `weights_only`, PyTorch runs no code of a file, but it does not check sizes: it
unpacks zip files to any size, allocates storages of any number of elements, and builds
dictionaries with any keys. A pickle that passes this check has only parameters and
plain values, and its storages are no larger than the file.
"""

import io
import mmap
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from mirrorgan_tf.convert.npz import check_archive
from mirrorgan_tf.files import open_regular
from mirrorgan_tf.pickles.arrays import NAMES
from mirrorgan_tf.pickles.unpickling import (
    Function,
    PlainUnpickler,
    RefusedError,
    describe,
)

__all__ = ["check_torch_file"]

# The most values in the pickle. The tensors' numbers are not part of the pickle.
_MOST_VALUES = 1_000_000
_LARGEST_PICKLE = 64 * 2**20
# Files of PyTorch before 1.6 consist of these pickles and then the numbers: magic
# number, version, machine, the saved object and the keys of its storages.
_LEGACY_PICKLES = 5
_ZIP_START = b"PK\x03\x04"


def check_torch_file(path: Path) -> None:
    """Raises an error for a file that PyTorch must not read.

    Raises:
        RefusedError: it is damaged, contains anything but tensors, dictionaries, lists,
            tuples, text and numbers, or names sizes that it does not have.
        OSError: it can't be read.
    """
    try:
        # PyTorch distinguishes the formats by these bytes too.
        with open_regular(path) as file:
            is_zip = file.read(len(_ZIP_START)) == _ZIP_START
        if is_zip:
            _check_zip(path)
        else:
            _check_legacy(path)
    except (OSError, RefusedError):
        raise
    # Damaged files can raise any exception.
    except Exception as error:
        raise RefusedError(describe(error)) from None


def _check_zip(path):
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, size)
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise RefusedError(f"{len(names)} files data.pkl instead of one")
        member = archive.getinfo(names[0])
        if member.file_size > _LARGEST_PICKLE:
            raise RefusedError("a pickle of more than 64 MiB besides the numbers")
        with archive.open(member) as file:
            content = io.BytesIO(file.read(member.file_size))
            _TorchUnpickler(content, size).load()


def _check_legacy(path):
    if tarfile.is_tarfile(path):
        raise RefusedError("a tar file, PyTorch's format before 0.1.2")
    with (
        open_regular(path) as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        for _ in range(_LEGACY_PICKLES):
            _TorchUnpickler(content, len(content)).load()


class _TorchUnpickler(PlainUnpickler):
    """Checks tensors without building them."""

    def __init__(self, file: BinaryIO, file_size: int) -> None:
        super().__init__(file, _MOST_VALUES, _TORCH_NAMES)
        self._remaining_bytes = file_size
        self._keys: set[str] = set()

    def persistent_load(self, pid: Any) -> Any:
        """Checks a reference to a storage of numbers."""
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
            raise RefusedError("a reference to something else than numbers")
        _, kind, key, location, count = pid[:5]
        if not isinstance(kind, _Storage) or not isinstance(key, str):
            raise RefusedError("a reference to numbers of an unknown kind")
        if not isinstance(location, str) or not _are_sizes((count,)):
            raise RefusedError("a reference to numbers of an unknown count")
        # PyTorch allocates a storage at the first reference to its key.
        if key not in self._keys:
            self._keys.add(key)
            self._remaining_bytes -= count * kind.bytes_each
        if self._remaining_bytes < 0:
            raise RefusedError("storages larger than the file")
        return None


class _Storage:
    """Replaces a class of storages, and can't be called.

    Attributes:
        bytes_each: size of an element.
    """

    def __init__(self, bytes_each: int) -> None:
        self.bytes_each = bytes_each


def _are_sizes(values):
    return type(values) is tuple and all(
        type(value) is int and 0 <= value < 2**48 for value in values
    )


def _rebuild_tensor(storage, offset, size, stride, *others):
    if not (_are_sizes((offset,)) and _are_sizes(size) and _are_sizes(stride)):
        raise RefusedError("a tensor of an invalid shape")


def _rebuild_parameter(tensor, requires_grad, hooks):
    return tensor


_TORCH_NAMES = {
    ("collections", "OrderedDict"): NAMES["collections", "OrderedDict"],
    ("torch._utils", "_rebuild_tensor"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter),
}
for _name, _bytes_each in (
    ("Double", 8),
    ("Float", 4),
    ("Half", 2),
    ("BFloat16", 2),
    ("Long", 8),
    ("Int", 4),
    ("Short", 2),
    ("Char", 1),
    ("Byte", 1),
    ("Bool", 1),
):
    _TORCH_NAMES["torch", f"{_name}Storage"] = _Storage(_bytes_each)
