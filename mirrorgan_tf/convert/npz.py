"""Reads .npz files, after checking the sizes in their headers."""

import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import open_regular

__all__ = ["check_archive", "read_npz"]

# Parameters can hardly be compressed, but zeros can, to a thousandth.
_FREE_BYTES, _LARGEST_FACTOR = 64 * 2**20, 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SUFFIX = ".npy"


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file.

    Raises:
        UserError: the file can't be read, is damaged, contains anything but arrays of
            numbers or text, or is far larger when unpacked.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            check_archive(archive, os.path.getsize(path))
            return dict(_read_member(archive, member) for member in archive.infolist())
    # zipfile and NumPy can raise any exception for damaged files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is not a readable .npz file ({reason})") from None


def check_archive(archive: zipfile.ZipFile, file_size: int) -> None:
    """Raises ValueError for a zip file that is far larger when unpacked."""
    members = archive.infolist()
    limit = _FREE_BYTES + _LARGEST_FACTOR * file_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > limit:
        raise ValueError(
            f"unpacked it has {unpacked:,} bytes, more than the {limit:,} that are "
            "plausible for a file of its size"
        )
    # Only these two methods can be unpacked up to a limit.
    if any(member.compress_type not in _METHODS for member in members):
        raise ValueError("it uses another compression than deflate")


def _read_member(archive, member):
    """Returns the name and the array of a member, which must be an .npy file."""
    if not member.filename.endswith(_SUFFIX):
        raise ValueError(f"{member.filename} in it is not an {_SUFFIX} file")
    name = member.filename.removesuffix(_SUFFIX)
    with archive.open(member) as file:
        # Read no more than the size that was checked.
        content = file.read(member.file_size)
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"{name} is of version {version}; expected 1.0 or 2.0")
    if dtype.hasobject:
        raise ValueError(f"{name} contains Python objects, which are not supported")
    if any(side < 0 for side in shape):
        raise ValueError(f"{name} has a negative side")
    data_bytes = len(content) - file.tell()
    if math.prod(shape) * dtype.itemsize != data_bytes:
        raise ValueError(
            f"{name} has shape {shape} and type {dtype}, but {data_bytes} bytes"
        )
    array = np.frombuffer(content, dtype, offset=file.tell())
    return name, array.reshape(shape, order="F" if fortran else "C")
