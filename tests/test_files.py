import os
import socket

import pytest

from mirrorgan_tf.convert.files import read_state
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import open_regular, read_bytes
from mirrorgan_tf.generate import read_captions
from mirrorgan_tf.pickles.reading import load_plain_pickle
from mirrorgan_tf.serving.clients import read_certificates
from mirrorgan_tf.text.vocabulary import Vocabulary


def test_open_regular_refuses_pipes_devices_and_sockets(tmp_path):
    pipe, link, server = tmp_path / "pipe", tmp_path / "link", tmp_path / "socket"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(server))
        for path in (pipe, link, server):
            with pytest.raises(OSError, match="not a regular file"):
                open_regular(path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert read_bytes(file) == b"content"


@pytest.mark.parametrize(
    ("suffix", "read"),
    [
        (".pth", read_state),
        (".npz", read_state),
        (".safetensors", read_state),
        (".pickle", load_plain_pickle),
        (".txt", lambda path: read_captions([], str(path))),
        (".txt", Vocabulary.load),
        (".pem", read_certificates),
    ],
)
def test_readers_refuse_a_pipe_instead_of_waiting_for_a_writer(suffix, read, tmp_path):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(UserError, match=f"pipe{suffix}.*not a regular file"):
        read(path)
