import codecs

import pytest

from mirrorgan_tf.encoding import decode_lines, decode_text, read_text
from mirrorgan_tf.errors import UserError

TEXT = "a red bird\nна ветке\r\n鳥 🐦\n"
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKED)
def test_a_byte_order_mark_sets_the_encoding(tmp_path, encoding):
    path = tmp_path / "text.txt"
    path.write_bytes(MARKED[encoding] + TEXT.encode(encoding))
    assert read_text(path) == TEXT
    assert decode_lines(path.read_bytes(), path) == (TEXT.splitlines(), [])


def test_text_without_a_byte_order_mark_is_utf_8():
    assert decode_text(TEXT.encode(), "text") == TEXT
    assert decode_text(b"", "text") == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "one\ntwo\ncaf\xe9 bird\n".encode("cp1252"),
            "line 3: bytes that are not UTF-8",
        ),
        (codecs.BOM_UTF8 + b"one\n\xff", "line 2: bytes that are not UTF-8"),
        ("one\ntwo".encode("utf-16")[:-1], "line 2: bytes that are not UTF-16"),
        (
            codecs.BOM_UTF32_BE + b"\0\0\0a\0\x11\0\0",
            "line 1: bytes that are not UTF-32",
        ),
        ("one\r\ntwo".encode("utf-16-le"), "line 1: a NUL character"),
        ("one\ntwo".encode("utf-16-be"), "line 1: a NUL character"),
        (b"one\ntwo\0", "line 2: a NUL character"),
        ("one\ntw\0".encode("utf-16"), "line 2: a NUL character"),
    ],
)
def test_undecodable_bytes_are_refused_with_their_line(content, message):
    with pytest.raises(UserError, match=f"^words.txt: {message}.*save the file as"):
        decode_text(content, "words.txt")


def test_captions_with_lost_characters_are_counted_by_line():
    lines, broken = decode_lines(
        b"caf\xe9\nbird\n\xef\xbf\xbd\n\x93red\x94", "captions"
    )
    assert lines == ["caf\ufffd", "bird", "\ufffd", "\ufffdred\ufffd"]
    assert broken == [1, 3, 4]
    with pytest.raises(UserError, match="captions: line 1: a NUL"):
        decode_lines("one\ntwo".encode("utf-16-le"), "captions")
