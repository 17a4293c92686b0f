"""Pickles by hand, opcode by opcode, and by Python's own pickler."""

import collections
import io
import itertools
import os
import pickle
import struct
import tracemalloc

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.pickles.reading import load_plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(tmp_path, content):
    path = tmp_path / "data.pickle"
    path.write_bytes(content)
    return load_plain_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_is_read(tmp_path, protocol):
    shared = ["shared"]
    plain = {
        "words": {0: "<end>", 1: "naïve", 2: "日本"},
        "numbers": [0, -1, 255, 65536, 2**40, -(2**70), 0.5, True, None],
        "bytes": b"\x00\xff",
        "containers": ((), collections.OrderedDict(b=1, a=2)),
        "shared": [shared, shared],
        "keys": {None: 1, True: 2, 0.5: 3, b"a": 4, -7: 5},
    }
    loaded = load(tmp_path, pickle.dumps(plain, protocol))
    assert loaded == plain
    assert loaded["shared"][0] is loaded["shared"][1]


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_numpy_1_and_2_are_read(tmp_path, protocol, module):
    arrays = [
        np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("<i8", ">i4", "u1", "f2", "<f4", ">f8", "c8", "?")
    ]
    arrays += [
        np.asfortranarray(arrays[0]),
        np.array(["a", "bcd", "é"]),
        np.array([b"a", b"bcd"]),
        np.array(7),
        np.int64(3),
        np.float32(0.5),
        np.str_("word"),
    ]
    content = pickle.dumps(arrays, protocol)
    # From protocol 4 on, the length of a module's name stands before it.
    if protocol < 4:
        content = content.replace(b"numpy._core.", module)
    loaded = load(tmp_path, content)
    for array, copy in zip(arrays, loaded, strict=True):
        # With old protocols, NumPy itself changes the byte order.
        assert copy.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(copy, array)


def test_pickles_of_python_2_are_read(tmp_path):
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


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function, *args):
        self._call = function, args

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (Call(os.system, "touch pwned"), r"system"),
        (Call(eval, "1"), r"eval"),
        (Call(np.load, "x"), r"load"),
        (os.system, r"system"),
        (io.BytesIO, r"BytesIO"),
        (np.array([None]), "the dtype 'O8'"),
        (np.zeros((2, 0)), ""),
    ],
)
def test_other_names_and_objects_are_refused_and_nothing_is_run(
    tmp_path, monkeypatch, evil, named, protocol
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=rf"data\.pickle: refused: it contains .*{named}"
    ):
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
        # Sets, by their opcodes and by a call.
        b"\x8f.",
        b"(K\x01\x91.",
        b"c__builtin__\nset\n((K\x01ltR.",
        # Names that are known, but are not called.
        b"c_codecs\nencode\n.",
        b"(lp0\n}I1\ncnumpy\nndarray\nsa.",
        DTYPE + b"(S'i4'\ntR.",
        # A state for one of the functions of this package.
        b"c_codecs\nencode\n}U\x09_functioncnumpy\ndtype\nsb.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
        # Arrays with fewer bytes than their shape says.
        RECONSTRUCT + b"(I1000000000000\ntS'd'\ntR.",
        b"cnumpy\nndarray\n(I1000000000000\ntR.",
        RECONSTRUCT
        + b"(I0\ntS'b'\ntR(I1\n(I-1\nt"
        + DTYPE
        + b"(S'i4'\ntRI00\nS''\ntb.",
        # Dtypes of objects, of structures, of times and of zero bytes.
        b"cnumpy.core.multiarray\nscalar\n(" + DTYPE + b"(S'O8'\ntRS'AAAAAAAA'\ntR.",
        DTYPE + b"(S'i4,O'\ntR.",
        DTYPE + b"(S'V8'\ntR(I3\nS'|'\nN(S'a'\nt}tb.",
        DTYPE + b"(S'M8'\ntR.",
        RECONSTRUCT + b"(I0\ntS'b'\ntR(I1\n(I9\nt" + DTYPE + b"(S'S0'\ntRI00\nS''\ntb.",
        # Files that are not pickles.
        b"",
        b"PK\x03\x04",
        b"\x80\x63.",
        b"[1, 2]",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"a.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"(" * 100_000,
    ],
    ids=itertools.count(),
)
def test_malicious_and_damaged_pickles_are_user_errors(tmp_path, content):
    with pytest.raises(
        UserError, match=r"data\.pickle: (refused|not a complete)"
    ) as error:
        load(tmp_path, content)
    assert "\n" not in str(error.value)


def test_memo_indices_do_not_allocate_memory(tmp_path):
    # The unpickler in C would allocate 2**33 entries here.
    huge = struct.pack("<I", 2**32 - 1)
    assert load(tmp_path, b"\x80\x02Nr" + huge + b"0j" + huge + b".") is None
    assert load(tmp_path, b"Np4294967295\n.") is None


def number(value):
    """The instruction that puts a whole number on the stack, of any protocol."""
    return b"L%dL\n" % value


def doubled(empty, pair, times):
    """Nested containers of two references each: 2**times values when written out."""
    return empty + b"p0\n" + b"".join([b"(g0\ng0\n" + pair + b"p0\n"] * times)


def array(dtype, shape, values):
    sides = b"".join(number(side) for side in shape)
    return (
        RECONSTRUCT
        + b"(I0\ntS'b'\ntR(I1\n("
        + sides
        + b"t"
        + DTYPE
        + b"(S'%s'\ntRI00\n%stb" % (dtype, values)
    )


NESTED_TUPLES = doubled(b"(t", b"t", 60)
COLLIDING_KEYS = [(2**61 - 1) * factor for factor in range(1, 20_000)]
SHARED_LIST = b"(" + b"K\x01" * 20_000 + b"lp1\n0"
SHARED_TEXT = b"V" + b"a" * 20_000 + b"\np1\n0"


@pytest.mark.parametrize(
    "content",
    [
        # Keys that take 2**60 steps to hash, by every instruction that hashes.
        NESTED_TUPLES + b"0(g0\nNd.",
        NESTED_TUPLES + b"0(dg0\nNs.",
        NESTED_TUPLES + b"0}(g0\nNu.",
        NESTED_TUPLES + b"0ccollections\nOrderedDict\n(((g0\nNtltR.",
        # Keys that have the same hash.
        b"(" + b"".join(number(key) + b"N" for key in COLLIDING_KEYS) + b"d.",
        b"N" + b"".join(b"p%d\n" % key for key in COLLIDING_KEYS) + b".",
        # Values that take little memory, but endless time to print or to compare.
        NESTED_TUPLES + b".",
        doubled(b"(l", b"l", 60) + b".",
        doubled(b"(d", b"l", 60) + b".",
        SHARED_LIST + b"(" + b"g1\n" * 20_000 + b"l.",
        SHARED_TEXT + b"(" + b"g1\n" * 20_000 + b"l.",
        b"(lp0\ng0\na.",
        # Values nested too deeply for recursive functions.
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b")" + b"\x85" * 100_000 + b".",
        b"}" + b"K\x00}" * 20_000 + b"s" * 20_000 + b".",
        # Calls whose results together are much larger than the file.
        SHARED_TEXT + b"(" + b"c_codecs\nencode\n(g1\nVlatin1\ntR" * 1000 + b"l.",
        # Empty arrays with many rows, and shapes that no array can have.
        array(b"i4", (2**31, 0), b"S''\n") + b".",
        array(b"i4", [2**61 - 1] * 30 + [0], b"S''\n") + b".",
        array(b"i4", [1] * 100, b"S'aaaa'\n") + b".",
        # A shape that would take endless time to print in an error.
        NESTED_TUPLES
        + b"0"
        + RECONSTRUCT
        + b"(I0\ntS'b'\ntR(I1\ng0\n"
        + DTYPE
        + b"(S'i4'\ntRI00\nS''\ntb.",
        # Lengths that are much larger than the file.
        b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"a.",
        b"\x80\x05\x8e" + struct.pack("<Q", 2**33) + b"a.",
        b"B" + struct.pack("<I", 2**31) + b"a.",
        # A number that Python refuses to print.
        b"\x8b" + struct.pack("<I", 20_000) + b"\x7f" * 20_000 + b".",
        # A lone surrogate, which can't be written to a file.
        b"V\\ud800\n.",
        # Items and elements of an object that is neither a dictionary nor a list.
        array(b"i4", (1,), b"S'aaaa'\n") + b"NK\x01s.",
        array(b"i4", (1,), b"S'aaaa'\n") + b"(K\x01e.",
    ],
    ids=itertools.count(),
)
def test_small_files_are_refused_before_they_cost_memory_or_time(tmp_path, content):
    assert len(content) < 2_000_000
    path = tmp_path / "data.pickle"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="refused|not a complete") as caught:
            load_plain_pickle(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20 + 100 * len(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


# Instructions and parts of them; almost all sequences of random bytes fail at once.
FRAGMENTS = [
    *(bytes([opcode]) for opcode in pickle._Unpickler.dispatch),
    *(b"p0\n", b"g0\n", b"q\x01", b"h\x01", b"K\x02", b"I3\n", b"Va\n", b"U\x01b"),
    *(b"(", b"(lp0\n", b"(tp0\n", b"}q\x01", b"cnumpy\nndarray\n", b"tR", b"tb"),
    *(RECONSTRUCT + b"(I0\ntS'b'\ntR", DTYPE + b"(S'i4'\ntR", DTYPE + b"(S'U1'\ntR"),
    *(b"ccollections\nOrderedDict\n", b"c_codecs\nencode\n"),
]


@hypothesis.given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4)))
@hypothesis.settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_sequence_of_opcodes_gives_plain_data_or_a_user_error(tmp_path, fragments):
    try:
        value = load(tmp_path, b"".join(fragments) + b".")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        # The value can be printed and pickled.
        repr(value).encode()
        pickle.dumps(value, 2)


def test_every_truncation_is_a_user_error(tmp_path):
    content = pickle.dumps([{1: "a"}, np.arange(3), np.float64(2)], 2)
    for length in range(len(content)):
        # A truncated name is refused as an unknown name.
        with pytest.raises(UserError, match="not a complete pickle|refused"):
            load(tmp_path, content[:length])


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="none.pickle: can't be read"):
        load_plain_pickle(tmp_path / "none.pickle")
