"""Checks hand-written PyTorch files; needs no PyTorch."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from mirrorgan_tf.convert.torch_files import check_torch_file
from mirrorgan_tf.pickles.unpickling import RefusedError

FILES = Path(__file__).with_name("torch_files")
STATE = b"ccollections\nOrderedDict\n)R"
FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def tensor(count, size, stride=b"K\x01", storage=FLOATS, key=b"0"):
    """Pickle instructions for a tensor of a storage of `count` elements."""
    reference = b"(Vstorage\n" + storage + b"V" + key + b"\nVcpu\n" + count + b"tQ"
    return (
        REBUILD + b"(" + reference + b"K\x00(" + size + b"t(" + stride + b"t\x89"
        b"ccollections\nOrderedDict\n)RtR"
    )


def state_of(value):
    return b"\x80\x02" + STATE + b"(Vweight\n" + value + b"u."


def zipped(content, numbers=b"\0" * 24, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/data/0", numbers)
    return file.getvalue()


def legacy(content, numbers=b"\0" * 24):
    """Magic number, version, machine, the saved object, keys of its storages."""
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    pickles = b"".join(pickle.dumps(value, 2) for value in header)
    keys = pickle.dumps(["0"], 2) + struct.pack("<q", len(numbers) // 4)
    return pickles + content + keys + numbers


def write_and_check(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    check_torch_file(path)


@pytest.mark.parametrize("file_of", [zipped, legacy])
@pytest.mark.parametrize(
    "value",
    [
        tensor(b"K\x06", b"K\x02K\x03", b"K\x03K\x01"),
        b"ctorch._utils\n_rebuild_parameter\n("
        + tensor(b"K\x06", b"K\x06")
        + b"\x88ccollections\nOrderedDict\n)RtR",
        b"}(Vlr\nG?\xf0\0\0\0\0\0\0Vbetas\nK\x01K\x02\x86u",
        # An attribute of the dictionary, such as PyTorch's _metadata.
        STATE + b"}Vversion\nK\x01sb",
    ],
)
def test_parameters_and_plain_values_are_accepted(tmp_path, file_of, value):
    write_and_check(tmp_path, file_of(state_of(value)))


@pytest.mark.parametrize("name", ["network", "parameters", "wrapped"])
@pytest.mark.parametrize("file_format", ["zip", "legacy"])
def test_files_written_by_pytorch_are_accepted(name, file_format):
    # Written by PyTorch 2.11 in its current format and in that before 1.6: a bfloat16
    # state_dict(), parameters, and a dictionary of transposed and tied tensors and
    # views.
    check_torch_file(FILES / f"{name}_{file_format}.pth")


NESTED_TUPLES = b"(tp0\n" + b"(g0\ng0\ntp0\n" * 60


@pytest.mark.parametrize("file_of", [zipped, legacy])
@pytest.mark.parametrize(
    "content",
    [
        # A storage larger than the file.
        state_of(tensor(b"\x8a\x05\0\0\0\0\x10", b"K\x01")),
        # Calls that PyTorch would make.
        state_of(b"cbuiltins\nbytearray\nJ\x00\xca\x9a\x3b\x85R"),
        state_of(b"ctorch\nTensor\nJ\x00\xca\x9a\x3b\x85R"),
        state_of(FLOATS + b"J\x00\xca\x9a\x3b\x85R"),
        state_of(b"cos\nsystem\nVtrue\n\x85R"),
        # A key that takes 2**60 steps to hash, and a shape that takes as many to print.
        state_of(b"}" + NESTED_TUPLES + b"Ns"),
        b"\x80\x02" + NESTED_TUPLES + b"0" + tensor(b"K\x01", b"g0\n") + b".",
        # A reference to the source of a class, as in whole pickled networks.
        b"\x80\x02(Vmodule\nNNNtQ.",
        b"\x80\x02}",
        b"",
    ],
)
def test_unsafe_files_are_refused_before_they_cost_memory(tmp_path, file_of, content):
    content = file_of(content)
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError) as caught:
            write_and_check(tmp_path, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_zip_bomb_is_not_unpacked(tmp_path):
    numbers = b"\0" * (70 * 2**20)
    bomb = zipped(state_of(b"N"), numbers, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**20
    with pytest.raises(RefusedError, match="73,400,"):
        write_and_check(tmp_path, bomb)


def test_zip_file_after_a_pickle_is_checked_as_a_pickle(tmp_path):
    # PyTorch reads a file that begins with a pickle in its old format, even if a zip
    # file follows.
    malicious = legacy(b"\x80\x02cbuiltins\nbytearray\nJ\x00\xca\x9a\x3b\x85R.")
    with pytest.raises(RefusedError, match="bytearray"):
        write_and_check(tmp_path, malicious + zipped(state_of(b"N")))
