"""Pickles by hand, opcode by opcode, and by Python's own pickler."""

import collections
import io
import os
import pickle
import struct

import numpy as np
import pytest

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.pickles import load_plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(tmp_path, content):
    path = tmp_path / "some.pickle"
    path.write_bytes(content)
    return load_plain_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back(tmp_path, protocol):
    shared = ["shared"]
    plain = {
        "words": {0: "<end>", 1: "naïve", 2: "日本"},
        "numbers": [0, -1, 255, 65536, 2**40, -(2**70), 0.5, 1j, True, None],
        "bytes": [b"", b"\x00\xff", bytearray(b""), bytearray(b"a\x80")],
        "containers": ({1}, frozenset("a"), (), collections.OrderedDict(b=1, a=2)),
        "shared": [shared, shared],
    }
    loaded = load(tmp_path, pickle.dumps(plain, protocol))
    assert loaded == plain
    assert loaded["shared"][0] is loaded["shared"][1]


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_either_numpy_come_back(tmp_path, protocol, module):
    arrays = [
        np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("<i8", ">i4", "u1", "f2", "<f4", ">f8", "c8", "?")
    ]
    arrays += [
        np.asfortranarray(arrays[0]),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.array(["a", "bcd", "é"]),
        np.array([b"a", b"bcd"]),
        np.array([1, "a", None, [2]], object),
        np.zeros((0, 3)),
        np.array(7),
        np.int64(3),
        np.float32(0.5),
        np.str_("word"),
    ]
    content = pickle.dumps(arrays, protocol)
    # Protocols with framed names count the letters of a module.
    if protocol < 4:
        content = content.replace(b"numpy._core.", module)
    loaded = load(tmp_path, content)
    for array, copy in zip(arrays, loaded, strict=True):
        # NumPy itself turns the bytes of old protocols round.
        assert copy.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(copy, array)


def test_python_2_pickles_come_back(tmp_path):
    # What Python 2.7 writes: byte strings, unicode, long, an array of NumPy 1.
    text = b"(lp0\nS'a bird'\np1\naVna\\u00efve\np2\naL12L\na(dp3\nI1\nS'x'\nsa."
    assert load(tmp_path, text) == ["a bird", "naïve", 12, {1: "x"}]
    binary = b"\x80\x02]q\x00(U\x03\xe9t\xe9q\x01X\x02\x00\x00\x00\xc3\xa9q\x02K\x05e."
    assert load(tmp_path, binary) == ["été", "é", 5]
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02"
        b"K\x00\x85U\x01b\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02i4K\x00"
        b"K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08\x01\x00\x00\x00\xff\xff\xff\xfftb."
    )
    np.testing.assert_array_equal(load(tmp_path, array), [1, -1])


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self._call = function, args

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (Calls(os.system, "touch pwned"), r"system"),
        (Calls(eval, "1"), r"eval"),
        (Calls(getattr, "a", "upper"), r"getattr"),
        (Calls(np.load, "x"), r"load"),
        (os.system, r"system"),
        (collections.Counter, r"Counter"),
        (io.BytesIO, r"BytesIO"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, monkeypatch, evil, named, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"some\.pickle: refused: it holds .*{named}"):
        load(tmp_path, pickle.dumps([1, {"a": evil}], protocol))
    assert not (tmp_path / "pwned").exists()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n"


@pytest.mark.parametrize(
    "content",
    [
        # Dotted names, extension codes, references outside.
        b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93.",
        b"\x80\x02\x82\x01.",
        b"Pname\n.",
        # Names alone.
        b"c__builtin__\nset\n.",
        b"(lp0\n}I1\ncnumpy\nndarray\nsa.",
        DTYPE + b"(S'i4'\ntR.",
        RECONSTRUCT
        + b"(I0\ntS'b'\ntR(I1\n(I1\nt"
        + DTYPE
        + b"(S'O8'\ntRI00\n(lcnumpy\nndarray\natb.",
        # A set's class, one of our functions, given a state.
        b"c__builtin__\nset\n}U\x08__init__K\x01sb.",
        b"c_codecs\nencode\n}U\x09_functionc__builtin__\nset\nsb.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
        # Arrays and bytes that claim more than they bring.
        RECONSTRUCT + b"(I1000000000000\ntS'd'\ntR.",
        b"cnumpy\nndarray\n(I1000000000000\ntR.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"c__builtin__\nbytearray\n(I1000000000000\ntR.",
        RECONSTRUCT
        + b"(I0\ntS'b'\ntR(I1\n(I-1\nt"
        + DTYPE
        + b"(S'i4'\ntRI00\nS''\ntb.",
        # A dtype that holds objects and says that it does not.
        RECONSTRUCT + b"(I0\ntS'b'\ntR(I1\n(I1\nt" + DTYPE + b"(S'O8'\ntR"
        b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'AAAAAAAA'\ntb.",
        b"cnumpy.core.multiarray\nscalar\n(" + DTYPE + b"(S'O8'\ntRS'AAAAAAAA'\ntR.",
        DTYPE + b"(S'i4,O'\ntR.",
        DTYPE + b"(S'M8'\ntR.",
        RECONSTRUCT + b"(I0\ntS'b'\ntR(I1\n(I9\nt" + DTYPE + b"(S'S0'\ntRI00\nS''\ntb.",
        # No pickle at all.
        b"",
        b"PK\x03\x04",
        b"\x80\x63.",
        b"[1, 2]",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"a.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"(" * 100_000,
    ],
)
def test_malice_and_damage_are_one_line(tmp_path, content):
    with pytest.raises(UserError, match=r"some\.pickle: (refused|not a whole)") as told:
        load(tmp_path, content)
    assert "\n" not in str(told.value)


def test_memos_take_no_more_than_what_they_hold(tmp_path):
    # C's unpickler would make room for 2**33 entries here.
    huge = struct.pack("<I", 2**32 - 1)
    assert load(tmp_path, b"\x80\x02Nr" + huge + b"0j" + huge + b".") is None
    assert load(tmp_path, b"Np4294967295\n.") is None


def test_what_holds_itself_is_read(tmp_path):
    content = [1]
    content.append(content)
    array = np.array([None, 1], object)
    array[0] = array
    content.append(array)
    loaded = load(tmp_path, pickle.dumps(content))
    assert loaded[1] is loaded
    assert loaded[2][0] is loaded[2]


def test_every_truncation_is_told(tmp_path):
    content = pickle.dumps([{1: "a"}, np.arange(3), np.float64(2)], 2)
    for length in range(len(content)):
        # Half a name is a name that is not known.
        with pytest.raises(UserError, match="not a whole pickle|refused"):
            load(tmp_path, content[:length])


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="none.pickle: can't be read"):
        load_plain_pickle(tmp_path / "none.pickle")
