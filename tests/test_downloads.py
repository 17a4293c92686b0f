import numpy as np
import pytest

from mirrorgan_tf.config import Config
from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.downloads import check_weights_file, find_placeholder
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.inception import InceptionExtractor
from mirrorgan_tf.networks import build_image_encoder
from mirrorgan_tf.pickles.reading import load_plain_pickle
from mirrorgan_tf.serving.loading import load_saved_model

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)
PLACEHOLDERS = [
    (POINTER, "Git LFS"),
    (b"/annex/objects/SHA256E-s12--ab.pth\n", "git-annex"),
    (b"<!DOCTYPE html>\n<html lang='en'>", "web page"),
    (b"\xef\xbb\xbf\r\n <HTML><head>", "web page"),
    (b"<!-- saved -->\n<html>", "web page"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *PLACEHOLDERS,
        (b"", "is empty"),
        (b"404: Not Found", "is a text"),
        (b'{"message": "Bad credentials"}', "is a text"),
        ("dépôt supprimé ".encode() * 60, "is a text"),
        (None, "no such file"),
    ],
)
def test_web_pages_pointers_and_texts_are_recognised(tmp_path, content, message):
    path = tmp_path / "netG.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        check_weights_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    if (content, message) in PLACEHOLDERS:
        assert message in find_placeholder(tmp_path, "*.pth")


def test_files_of_weights_are_accepted(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.zeros(3))
    check_weights_file(path)
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    check_weights_file(path)
    assert find_placeholder(tmp_path, "*") is None


@pytest.mark.parametrize("content", [POINTER, b"<!DOCTYPE html>\n<html lang='en'>"])
def test_readers_of_weights_and_pickles_name_placeholders(tmp_path, content):
    readers = {
        ".pth": read_state,
        ".npz": read_state,
        ".safetensors": read_state,
        ".pickle": load_plain_pickle,
        ".h5": lambda path: build_image_encoder(
            Config.from_flags(image_encoder_weights=str(path))
        ),
        ".weights.h5": lambda path: InceptionExtractor(str(path)),
        "": lambda folder: load_saved_model(folder, "seeded"),
    }
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "saved_model.pb").write_bytes(content)
    for suffix, read in readers.items():
        path = tmp_path / f"x{suffix}"
        if suffix:
            path.write_bytes(content)
        with pytest.raises(UserError, match="is a (Git LFS pointer|web page), not"):
            read(path)
