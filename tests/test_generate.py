import io
import sys
from unittest import mock

import numpy as np
import PIL.Image
import pytest

from mirrorgan_tf import commands
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.generate import (
    define_flags,
    draw_sheet,
    main,
    parse_seeds,
    read_captions,
)


def generate(monkeypatch, *arguments, stdin=b""):
    """Runs the command in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["generate", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    # The handlers of Ctrl-C would stay.
    monkeypatch.setattr(commands, "interrupts", mock.Mock())
    with pytest.raises(SystemExit) as caught:
        commands.run(main, define_flags, operands=["caption..."])
    return caught.value.code


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
    with pytest.raises(UserError, match="no caption"):
        read_captions([], None)
    with pytest.raises(UserError, match="none.txt"):
        read_captions([], str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("-2-1", [-2, -1, 0, 1]), ("1,5-6", [1, 5, 6])],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "1,", "3-1", "0-99999", str(2**63)])
def test_wrong_seeds_are_named(text):
    with pytest.raises(UserError, match=f"--seeds={text}: "):
        parse_seeds(text)


def test_the_sheet_grows_with_scales_and_attention():
    rng = np.random.default_rng(0)
    descriptions = {
        "images": [
            rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
            for side in (16, 32)
        ],
        "word_attention": [rng.random((2, 16, 16, 5))],
        "redescription": ["a bird", ""],
        "words": [["red"], []],
    }
    captions = ["a red bird", "x" * 999]
    plain = draw_sheet(descriptions, captions)
    scales = draw_sheet(descriptions, captions, scales=True)
    attention = draw_sheet(descriptions, captions, attention=True)
    assert plain.dtype == np.uint8
    assert scales.shape[1] > 1.8 * plain.shape[1]
    assert attention.shape[0] > plain.shape[0] + 2 * 128
    np.testing.assert_array_equal(attention[: plain.shape[0], : plain.shape[1]], plain)


def test_the_command_writes_a_sheet_and_prints_redescriptions(
    trained_workdir, trained_model, tmp_path, monkeypatch, capsys, caplog
):
    """An image does not depend on the captions beside it."""
    caption = "a red bird with black wings"
    status = generate(
        monkeypatch,
        caption,
        "",
        f"--workdir={trained_workdir}",
        "--captions_file=-",
        "--seed=-7",
        "--attention",
        "--scales",
        f"--out={tmp_path / 'folder' / 'all.png'}",
        stdin=b"two zebras\n\xff\n",
    )
    assert not status
    assert "does not know and ignores: two, zebras\n" in caplog.text
    alone = trained_model.describe(caption, seed=-7)
    lines = [line.split(" -> ") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [caption, "", "two zebras", "\ufffd"]
    assert lines[0][1] == alone["redescription"]
    sheet = np.asarray(PIL.Image.open(tmp_path / "folder" / "all.png"))
    # Images start at a margin of 6 px, are 160 px wide and 6 px apart.
    for left, image in zip((6, 172), alone["images"], strict=True):
        step = 160 // image.shape[0]
        drawn = sheet[6:166, left : left + 160][step // 2 :: step, step // 2 :: step]
        np.testing.assert_array_equal(drawn, image)
    assert image.std() > 0


def test_a_folder_gets_a_png_for_each_caption_and_seed(
    trained_workdir, trained_model, tmp_path, monkeypatch, capsys
):
    status = generate(
        monkeypatch,
        "a red bird",
        "Vögel",
        f"--workdir={trained_workdir}",
        "--seeds=3-4",
        f"--out={tmp_path}/images/",
    )
    assert not status
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == [
        "1-a-red-bird-seed3.png",
        "1-a-red-bird-seed4.png",
        "2-vogel-seed3.png",
        "2-vogel-seed4.png",
    ]
    assert len(capsys.readouterr().out.splitlines()) == 4
    image = PIL.Image.open(tmp_path / "images" / "1-a-red-bird-seed4.png")
    np.testing.assert_array_equal(image, trained_model.generate("a red bird", seed=4))
    assert image.text["caption"] == "a red bird" and image.text["seed"] == "4"
    assert image.text["model"] == f"{trained_workdir}, step 7"
    image = PIL.Image.open(tmp_path / "images" / "2-vogel-seed3.png")
    assert image.text["caption"] == "Vögel"


def test_metadata_name_the_preset_that_was_used(tmp_path, monkeypatch):
    assert not generate(monkeypatch, "a red bird", f"--out={tmp_path}/")
    (file,) = tmp_path.iterdir()
    assert PIL.Image.open(file).text["model"].startswith("birdlets_64, step ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--preset=x"], "--preset=x: there is no such preset"),
        (["a", "--preset=x", "--workdir=y"], "--workdir and --preset: give only one"),
        (["--workdir=nowhere"], "no caption"),
        (["a", "--workdir=nowhere"], "--workdir=nowhere: no "),
        (["a", "--out=x/", "--scales"], "--out=x/: --scales and --attention need"),
        (["a", "--out=x.gif"], "--out=x.gif: images are not written as .gif"),
    ],
)
def test_wrong_flags_are_one_line(monkeypatch, capsys, arguments, message):
    assert generate(monkeypatch, *arguments) == 1
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith(f"error: {message}")
