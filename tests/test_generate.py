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
from mirrorgan_tf.presets import files


def generate(monkeypatch, *arguments, stdin=b""):
    """Runs the command in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["generate", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    # The command would replace the handlers of Ctrl-C for all later tests.
    monkeypatch.setattr(commands, "interrupts", mock.Mock())
    with pytest.raises(SystemExit) as caught:
        commands.run(main, define_flags, operands=["caption..."])
    return caught.value.code


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_captions_are_arguments_then_lines_of_a_file(tmp_path, encoding):
    path = tmp_path / "captions.txt"
    path.write_bytes("ein Vögel\r\n\n  鳥 \n".encode(encoding))
    # Python decodes a byte of the command line that is not UTF-8 to \udcff.
    captions = read_captions(["red \udcff", ""], str(path))
    assert captions == ["red \ufffd", "", "ein Vögel", "鳥"]


def test_warning_names_the_line_of_captions_that_are_not_utf_8(tmp_path, monkeypatch):
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


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("-2-1", [-2, -1, 0, 1]), ("1,5-6", [1, 5, 6])],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "1,", "3-1", "0-99999", str(2**63)])
def test_wrong_seeds_are_quoted_in_the_error(text):
    with pytest.raises(UserError, match=f"--seeds={text}: "):
        parse_seeds(text)


def test_sheet_is_larger_with_scales_and_attention():
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


def test_command_writes_a_sheet_and_prints_redescriptions(
    trained_workdir, trained_model, tmp_path, monkeypatch, capsys, caplog
):
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
    # The image does not depend on the other captions.
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


def test_command_writes_a_png_for_each_caption_and_seed_into_a_folder(
    trained_model, tmp_path, monkeypatch, capsys
):
    # The default preset.
    monkeypatch.setattr(files, "open_preset", {"birdlets_64": trained_model}.get)
    status = generate(
        monkeypatch,
        "a red bird",
        "Vögel",
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
    assert image.text["model"] == "birdlets_64, step 7"
    image = PIL.Image.open(tmp_path / "images" / "2-vogel-seed3.png")
    assert image.text["caption"] == "Vögel"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--preset=x"], "--preset=x: there is no such preset"),
        (["a", "--preset=x", "--workdir=y"], "--workdir and --preset: give only one"),
        (["--workdir=nowhere"], "no caption"),
        (["--captions_file=none.txt"], "--captions_file=none.txt: can't be read"),
        (["a", "--workdir=nowhere"], "--workdir=nowhere: no "),
        (["a", "--out=x/", "--scales"], "--out=x/: --scales and --attention need"),
        (["a", "--out=x.gif"], "--out=x.gif: images are not written as .gif"),
    ],
)
def test_wrong_flags_are_one_line(monkeypatch, capsys, arguments, message):
    assert generate(monkeypatch, *arguments) == 1
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith(f"error: {message}")
