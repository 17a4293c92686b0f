"""Reads .npz and .safetensors files."""

import contextlib
import itertools
import json
import struct
import sys
import tracemalloc
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.errors import UserError

SAFETENSORS_DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16"}
SAFETENSORS_DTYPES["int64"] = "I64"


def safetensors_content(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def write_safetensors(path, state):
    """Writes a file by the description of the format."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in state.items():
        part = array.tobytes()
        header[name] = {
            "dtype": SAFETENSORS_DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(part)],
        }
        data += part
    path.write_bytes(safetensors_content(header, data))


def example_state():
    random = np.random.default_rng(0)
    return {
        "a.weight": random.normal(size=(2, 3)).astype(np.float32),
        "b": random.normal(size=()).astype(np.float64),
        "half": np.array([1.5, -2.0], np.float16),
        "bn.num_batches_tracked": np.array(7),
        "empty": np.zeros((0, 4), np.float32),
    }


def skip_without_safetensors(suffix=".safetensors"):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="extra torch is not installed")


@contextlib.contextmanager
def little_memory():
    """Fails if the block allocates 4 MiB or more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_arrays_are_read_as_float32_without_the_prefix(tmp_path, suffix, prefix):
    skip_without_safetensors(suffix)
    path = tmp_path / f"net{suffix}"
    state = example_state()
    prefixed = {prefix + name: array for name, array in state.items()}
    if suffix == ".npz":
        np.savez_compressed(path, **prefixed)
    else:
        write_safetensors(path, prefixed)
    read = read_state(path)
    assert read.keys() == state.keys()
    for name, array in state.items():
        assert read[name].dtype == (np.int64 if "num" in name else np.float32)
        np.testing.assert_allclose(read[name], array, rtol=1e-7)


def test_bfloat16_is_read_from_safetensors(tmp_path):
    skip_without_safetensors()
    values = np.array([1.0, -2.5, 3.140625, 0.0], "<f4")
    data = (values.view("<u4") >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors_content({"a": entry}, data))
    np.testing.assert_array_equal(read_state(path)["a"], values)


def entry(first, last, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (safetensors_content({}, length=2**63), "not a valid"),
        (safetensors_content(b"[" * 100_000), "not a valid"),
        (safetensors_content({"a": entry(0, 4, (2,))}, b"1234"), "not a valid"),
        (safetensors_content({"a": entry(0, 4, [1] * 100)}, b"1234"), "not a valid"),
        (safetensors_content({"a": entry(0, 0, [0, 2**40, 2**40])}), "not a valid"),
        (safetensors_content({"a": entry(0, 1, dtype="F8_E4M3")}, b"1"), "F8_E4M3"),
        (safetensors_content({}), "contains no parameters"),
        (safetensors_content({"a": entry(0, 4)}, b"\0\0\xc0\x7f"), "not finite"),
    ],
    ids=itertools.count(),
)
def test_invalid_safetensors_files_are_refused_in_one_line(tmp_path, content, message):
    skip_without_safetensors()
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with little_memory(), pytest.raises(UserError, match=message) as failure:
        read_state(path)
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


def npy_content(shape, dtype="<f8", data=b"", version=(1, 0)):
    """An .npy file by the description of the format."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    text = (repr(header) + "\n").encode()
    length = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + text + data


def write_npz(path, content, method=zipfile.ZIP_STORED, name="a.npy"):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "content, message",
    [
        (npy_content((2**44,)), r"a has shape \(17592186044416,\)"),
        (npy_content((2**62, 2**62)), "a has shape"),
        (npy_content((2**62, 0)), "not a readable"),
        (npy_content((1,) * 100, data=b"12345678"), "not a readable"),
        (npy_content((-1,), data=b"12345678"), "a has a negative side"),
        (npy_content((2**40,), "<U0"), "not a readable"),
        (npy_content((1,), "O", data=b"12345678"), "Python objects"),
        (npy_content((1,), version=(2, 0)), "a has shape"),
        (npy_content((1,), "<U1", data=b"x\0\0\0"), "a has type <U1, not numbers"),
        (b"\x93NUMPY\x02\0" + b"\xff" * 4, "not a readable"),
        (b"\x93NUMPY\x01\0\x10\x27" + b"(" * 10_000, "not a readable"),
        (b"", "not a readable"),
    ],
    ids=itertools.count(),
)
def test_invalid_npz_members_are_refused_without_cost(tmp_path, content, message):
    path = write_npz(tmp_path / "net.npz", content)
    with (
        little_memory(),
        pytest.raises(UserError, match=f"net.npz: .*{message}") as failure,
    ):
        read_state(path)
    assert "\n" not in str(failure.value)


def overwrite_unpacked_size(path, size):
    """Changes both headers of a zip file's only member."""
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack("<I", size)
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", size)
    path.write_bytes(content)


def test_zip_bombs_are_not_unpacked(tmp_path):
    content = npy_content((70 * 2**17,), data=b"\0" * (70 * 2**20))
    path = write_npz(tmp_path / "net.npz", content, zipfile.ZIP_DEFLATED)
    with little_memory():
        with pytest.raises(UserError, match="unpacked it has 73,400,"):
            read_state(path)
        # If the header says a smaller size, only that size is unpacked.
        overwrite_unpacked_size(path, 1000)
        with pytest.raises(UserError, match="not a readable"):
            read_state(path)


@pytest.mark.parametrize(
    "method, name, message",
    [
        (zipfile.ZIP_BZIP2, "a.npy", "another compression than deflate"),
        (zipfile.ZIP_LZMA, "a.npy", "another compression than deflate"),
        (zipfile.ZIP_STORED, "readme.txt", "readme.txt in it is not an .npy file"),
    ],
)
def test_other_members_of_npz_files_are_refused(tmp_path, method, name, message):
    content = npy_content((1,), data=b"12345678")
    path = write_npz(tmp_path / "net.npz", content, method, name)
    with pytest.raises(UserError, match=message):
        read_state(path)


@pytest.mark.parametrize(
    "package, suffix", [("torch", ".pth"), ("safetensors", ".safetensors")]
)
def test_missing_files_and_packages_are_named(tmp_path, monkeypatch, package, suffix):
    path = tmp_path / f"net{suffix}"
    with pytest.raises(UserError, match="no such file"):
        read_state(path)
    monkeypatch.setitem(sys.modules, package, None)
    path.write_bytes(b"\x80\x02")
    with pytest.raises(UserError, match=r"pip install 'mirrorgan_tf\[torch\]'"):
        read_state(path)


@hypothesis.given(
    st.sampled_from(["net.npz", "net.safetensors"]),
    st.dictionaries(st.integers(0, 2000), st.integers(0, 255), max_size=4),
    st.integers(0, 2000),
)
@hypothesis.settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_damaged_files_give_arrays_or_one_line(tmp_path, name, changes, length):
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, **example_state())
    else:
        write_safetensors(path, example_state())
    content = bytearray(path.read_bytes())
    for position, value in changes.items():
        content[position % len(content)] = value
    path.write_bytes(content[: length or None])
    try:
        state = read_state(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(array.dtype.kind in "fiub" for array in state.values())
