import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.generate import draw_sheet, read_captions
from mirrorgan_tf.workdir import open_workdir
from tests.conftest import OTHER_KERAS_SETTINGS, check_native_messages

ROOT = Path(__file__).parents[1]


def generate(*arguments, stdin=b""):
    done = subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.generate", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        input=stdin,
        capture_output=True,
        timeout=300,
    )
    check_native_messages(done.stderr.decode())
    return done


def test_captions_come_from_flags_then_file(tmp_path):
    (tmp_path / "captions.txt").write_bytes(b"one\r\n\n  two \nt\xffhree")
    captions = read_captions(["zero", ""], str(tmp_path / "captions.txt"))
    assert captions == ["zero", "", "one", "two", "t\ufffdhree"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_captions_file_may_have_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "captions.txt").write_bytes("ein Vögel\r\n鳥\r\n".encode(encoding))
    assert read_captions([], str(tmp_path / "captions.txt")) == ["ein Vögel", "鳥"]


def test_captions_that_cant_be_read_are_named_by_line(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *values: warnings.append(text % values)
    )
    path = tmp_path / "captions.txt"
    path.write_bytes(b"\na bird\ncaf\xe9\n\x93red\x94\n")
    read_captions(["a"], str(path))
    (warning,) = warnings
    assert warning.endswith(f": 2, first --captions_file={path}: line 3")
    path.write_bytes("a bird".encode("utf-16-le"))
    with pytest.raises(UserError, match=f"--captions_file={path}: line 1: a NUL"):
        read_captions(["a"], str(path))


def test_captions_come_from_standard_input(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"one\ntwo\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read_captions([], "-") == ["one", "two"]


def test_undecodable_arguments_are_mended():
    assert read_captions(["red \udcff"], None) == ["red \ufffd"]


def test_no_caption_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="--captions="):
        read_captions([], None)
    with pytest.raises(UserError, match="none.txt"):
        read_captions([], str(tmp_path / "none.txt"))


@pytest.fixture
def made():
    """Two captions' results of a cascade of two stages."""
    rng = np.random.default_rng(0)
    return {
        "images": [
            rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
            for side in (16, 32)
        ],
        "word_attention": [rng.random((2, 16, 16, 5))],
        "redescription": ["a bird", ""],
        "words": [["red"], []],
    }


def draw(made, **changes):
    asked = {"scales": False, "attention": False, **changes}
    return draw_sheet(made, ["a red bird", "x" * 999], **asked)


def test_a_sheet_grows_by_what_is_asked_for(made):
    plain, scales, attention = (
        draw(made),
        draw(made, scales=True),
        draw(made, attention=True),
    )
    assert plain.dtype == np.uint8
    assert scales.shape[1] > 1.8 * plain.shape[1]
    assert attention.shape[0] > plain.shape[0] + 2 * 128
    np.testing.assert_array_equal(attention[: plain.shape[0], : plain.shape[1]], plain)


def test_the_command_draws_and_prints(trained_workdir, tmp_path):
    """Also: an image does not depend on the captions beside it."""
    done = generate(
        f"--workdir={trained_workdir}",
        "--captions=a red bird with black wings",
        "--captions=",
        "--captions_file=-",
        "--seed=-7",
        "--attention",
        "--scales",
        f"--out={tmp_path / 'folder' / 'all.png'}",
        stdin=b"two zebras\n\xff\n",
    )
    assert done.returncode == 0, done.stderr
    run = open_workdir(trained_workdir)
    caption = "a red bird with black wings"
    alone = run.describe([caption], seed=-7)
    lines = [line.split(" -> ") for line in done.stdout.decode().splitlines()]
    assert [line[0] for line in lines] == [caption, "", "two zebras", "\ufffd"]
    assert lines[0][1] == alone["redescription"][0]
    sheet = np.asarray(PIL.Image.open(tmp_path / "folder" / "all.png"))
    # Images start at a margin of 6 px, are 160 px wide and 6 px apart.
    for left, image in zip((6, 172), alone["images"], strict=True):
        step = 160 // image.shape[1]
        drawn = sheet[6:166, left : left + 160][step // 2 :: step, step // 2 :: step]
        np.testing.assert_array_equal(drawn, image[0])
    assert image.std() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--captions=a", "--preset=x"], b"error: --preset=x: there is no such preset"),
        (["--preset=x", "--workdir=y"], b"error: --workdir and --preset: give one of"),
        (["--workdir=nowhere"], b"error: no caption"),
        (["--workdir=nowhere", "--captions=a"], b"error: --workdir=nowhere: no "),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    done = generate(*arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(message)
    assert b"Traceback" not in done.stderr
