"""Reading parameters without PyTorch."""

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

TYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64"}


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def write_safetensors(path, state):
    """By the format's description."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in state.items():
        part = array.tobytes()
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(part)],
        }
        data += part
    path.write_bytes(safetensors(header, data))


def some_state():
    random = np.random.default_rng(0)
    return {
        "a.weight": random.normal(size=(2, 3)).astype(np.float32),
        "b": random.normal(size=()).astype(np.float64),
        "half": np.array([1.5, -2.0], np.float16),
        "bn.num_batches_tracked": np.array(7),
        "nothing": np.zeros((0, 4), np.float32),
    }


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_formats_give_the_arrays(tmp_path, suffix, prefix):
    path = tmp_path / f"net{suffix}"
    state = some_state()
    named = {prefix + name: array for name, array in state.items()}
    if suffix == ".npz":
        np.savez(path, **named)
    else:
        write_safetensors(path, named)
    read = read_state(path)
    assert read.keys() == state.keys()
    for name, array in state.items():
        assert read[name].dtype == (np.int64 if "num" in name else np.float32)
        np.testing.assert_allclose(read[name], array, rtol=1e-7)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.array([1.0, -2.5, 3.140625, 0.0], "<f4")
    data = (values.view("<u4") >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors({"a": entry}, data))
    np.testing.assert_array_equal(read_state(path)["a"], values)


def entry(first, last, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"\x01", "header does not fit"),
        (safetensors({}, length=2**63), "header does not fit"),
        (safetensors({}, length=3), "header does not fit"),
        (safetensors(b"[1]"), "no JSON object"),
        (safetensors(b"{]"), "no whole"),
        (safetensors(b'"\xff"'), "no whole"),
        (safetensors(b"[" * 100_000), "no whole"),
        (safetensors({"a": 1}), "no whole"),
        (safetensors({"a": {"dtype": "F32"}}), "no whole"),
        (safetensors({"a": entry(0, 4)}), "0 bytes of tensors, not 4"),
        (safetensors({"a": entry(0, 4)}, b"12345"), "5 bytes of tensors, not 4"),
        (safetensors({"a": entry(1, 5)}, b"12345"), "a begins at 1, not at 0"),
        (
            safetensors({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"),
            "b begins at 0, not at 4",
        ),
        (safetensors({"a": entry(0, 4, (2,))}, b"1234"), r"4 bytes, but has shape"),
        (safetensors({"a": entry(0, 4, [1] * 100)}, b"1234"), "no shape of at most"),
        (safetensors({"a": entry(0, 0, [0, 2**63])}), f"a has {2**63} for a size"),
        (safetensors({"a": entry(0, 0, [0, 2**40, 2**40])}), "which no array has"),
        (safetensors({"a": entry(0, 4, [2**40] * 32)}, b"1234"), "which no array has"),
        (safetensors({"a": entry(0, 4) | {"shape": {}}}, b"1234"), "no shape"),
        (safetensors(b'{"a": 1, "a": 2}'), "gives a name twice"),
        (safetensors({"a": entry(4, 0, (-1,))}, b"1234"), "a has -1"),
        (safetensors({"a": entry(0, 4, (1.0,))}, b"1234"), "a has 1.0"),
        (safetensors({"a": entry(0, 4, (True,))}, b"1234"), "a has True"),
        (safetensors({"a": entry(0, 4, dtype="F8_E4M3")}, b"1234"), "'F8_E4M3'"),
        (safetensors({}), "holds no parameters"),
        (safetensors({"a": entry(0, 4)}, b"\0\0\xc0\x7f"), "a holds .* not finite"),
    ],
)
def test_a_broken_safetensors_file_is_refused(tmp_path, content, message):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_state(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_broken_or_pickled_npz_file_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match="net.npz: is no readable"):
        read_state(path)
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(UserError, match="net.npz: is no readable"):
        read_state(path)


def npy(shape, dtype="<f8", data=b"", version=(1, 0)):
    """An .npy file by the format's description."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    text = (repr(header) + "\n").encode()
    length = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + text + data


def write_npz(path, content, method=zipfile.ZIP_STORED, name="a.npy"):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def lie_about_size(path, size):
    """Writes another unpacked size into both headers of a zip file's only member."""
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack("<I", size)
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", size)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "content, message",
    [
        (npy((2**44,)), r"a claims the shape \(17592186044416,\)"),
        (npy((2**62, 2**62)), "a claims the shape"),
        (npy((2**62, 0)), "no readable"),
        (npy((1,) * 100, data=b"12345678"), "no readable"),
        (npy((-1,), data=b"12345678"), "a has a negative side"),
        (npy((2**40,), "<U0"), "no readable"),
        (npy((2**40,), "S0"), "no readable"),
        (npy((1,), "O", data=b"12345678"), "Python objects"),
        (npy((1,), version=(2, 0)), "a claims"),
        (b"\x93NUMPY\x02\0" + b"\xff" * 4, "no readable"),
        (b"\x93NUMPY\x01\0\x10\x27" + b"(" * 10_000, "no readable"),
        (b"\x93NUMPY\x09\0", "no readable"),
        (b"", "no readable"),
    ],
    ids=itertools.count(),
)
def test_what_an_npz_file_claims_costs_nothing(tmp_path, content, message):
    path = write_npz(tmp_path / "net.npz", content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=f"net.npz: .*{message}") as caught:
            read_state(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20 and "\n" not in str(caught.value)


def test_zip_bombs_are_not_unpacked(tmp_path):
    content = npy((70 * 2**17,), data=b"\0" * (70 * 2**20))
    path = write_npz(tmp_path / "net.npz", content, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="unpacked it would have 73,400,"):
            read_state(path)
        # One that claims to be small is unpacked as far as it claims, at most.
        lie_about_size(path, 1000)
        with pytest.raises(UserError, match="no readable"):
            read_state(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_can_only_be_unpacked_whole_is_refused(tmp_path, method):
    path = write_npz(tmp_path / "net.npz", npy((1,), data=b"12345678"), method)
    with pytest.raises(UserError, match="by another method than deflate"):
        read_state(path)


def test_only_arrays_are_read(tmp_path):
    path = tmp_path / "net.npz"
    write_npz(path, npy((1,), data=b"12345678"), name="readme.txt")
    with pytest.raises(UserError, match="readme.txt in it is no .npy file"):
        read_state(path)


def test_compressed_parameters_are_read(tmp_path):
    state = {"bias": np.zeros(2**20, np.float32), "weight": np.arange(6.0)}
    np.savez_compressed(tmp_path / "net.npz", **state)
    for name, array in read_state(tmp_path / "net.npz").items():
        np.testing.assert_array_equal(array, state[name])


def test_text_is_no_parameter(tmp_path):
    np.savez(tmp_path / "net.npz", a=np.array(["x"]))
    with pytest.raises(UserError, match="net.npz: a holds <U1, not numbers"):
        read_state(tmp_path / "net.npz")


def test_no_file_and_no_torch_are_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no such file"):
        read_state(tmp_path / "gone.npz")
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "net.pth").write_bytes(b"\x80\x02")
    with pytest.raises(UserError, match=r"pip install 'mirrorgan_tf\[torch\]'"):
        read_state(tmp_path / "net.pth")


def _sizes():
    return st.integers(-1, 2**64) | st.sampled_from([0, 1, 2, 4, 8, 2**31, 2**63])


ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*TYPES.values(), "BF16", "BOOL", "X", 1]),
        "shape": st.lists(_sizes() | st.booleans(), max_size=70) | st.none(),
        "data_offsets": st.lists(_sizes(), max_size=3) | st.text(max_size=2),
    }
)
FUZZED = hypothesis.settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def read_or_refuse(path, content):
    """Arrays of numbers, or one line."""
    path.write_bytes(content)
    try:
        state = read_state(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(array.dtype.kind in "fiub" for array in state.values())


@hypothesis.given(
    st.dictionaries(st.text(max_size=3), ENTRIES | st.integers(), max_size=3),
    st.binary(max_size=16),
)
@FUZZED
def test_any_safetensors_header_gives_arrays_or_one_line(tmp_path, header, data):
    read_or_refuse(tmp_path / "net.safetensors", safetensors(header, data))


@hypothesis.given(
    st.sampled_from(["net.npz", "net.safetensors"]),
    st.dictionaries(st.integers(0, 2000), st.integers(0, 255), max_size=4),
    st.integers(0, 2000),
)
@FUZZED
def test_any_damage_gives_arrays_or_one_line(tmp_path, name, changes, length):
    if name.endswith("npz"):
        np.savez(tmp_path / name, **some_state())
    else:
        write_safetensors(tmp_path / name, some_state())
    content = bytearray((tmp_path / name).read_bytes())
    for place, value in changes.items():
        content[place % len(content)] = value
    read_or_refuse(tmp_path / name, content[: length or None])
