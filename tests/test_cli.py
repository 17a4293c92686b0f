"""The program `mirrorgan` and the help of every command."""

import json
import re
import subprocess
import sys

import pytest

from mirrorgan_tf import cli
from mirrorgan_tf.config import SETTINGS
from mirrorgan_tf.config.settings import GROUP_TITLES
from tests.conftest import ROOT

# Runs several command lines in one process in which Keras and TensorFlow can't be
# imported, and prints status, stdout and stderr of each.
SCRIPT = """
import contextlib, io, json, sys
from mirrorgan_tf import cli
sys.modules["tensorflow"] = sys.modules["keras"] = None
results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["mirrorgan", *arguments]
    status, out, error = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
    results.append((status, out.getvalue(), error.getvalue()))
print(json.dumps(results))
"""


def run_without_tensorflow(folder, *command_lines):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(command_lines)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def help_of_verbs(tmp_path_factory):
    results = run_without_tensorflow(
        tmp_path_factory.mktemp("empty"), *([verb, "--help"] for verb in cli.VERBS)
    )
    return dict(zip(cli.VERBS, results, strict=True))


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_describes_command_and_flags_without_tensorflow(verb, help_of_verbs):
    status, text, error = help_of_verbs[verb]
    assert (status, error) == (0, "")
    usage, _, description = text.splitlines()[:3]
    assert usage.startswith(f"usage: mirrorgan {verb} ")
    assert description
    assert "Flags of this command:\n  --" in text
    assert max(map(len, text.splitlines())) <= 100 or "A,B" in text


@pytest.mark.parametrize("verb", ["train", "check", "prepare", "convert", "ablation"])
def test_help_lists_all_settings_with_defaults_in_groups(verb, help_of_verbs):
    text = help_of_verbs[verb][1]
    for title in GROUP_TITLES.values():
        assert f"\n{title}:\n" in text
    for setting in SETTINGS:
        pattern = rf"^  --(\[no\])?{setting.flag}\b.*$"
        line = re.search(pattern, text, re.MULTILINE).group()
        # Two flags of convert are files, whose names are also those of settings.
        is_file = verb == "convert" and setting.flag in (
            "image_encoder",
            "text_encoder",
        )
        if setting.default not in ("", True, False) and not is_file:
            assert line.endswith(f"(default: {setting.default})")
        for choice in setting.choices or ():
            assert choice in line


def test_usage_mistakes_are_one_line_with_a_hint_and_write_nothing(tmp_path):
    lines = {
        ("trian",): "did you mean train?",
        ("train",): "choose a recipe",
        ("train", "--workdir=here"): "choose a recipe",
        ("ablation",): "choose a recipe, such as --recipe=ablation",
        ("train", "coco"): "write --recipe=coco",
        ("train", "--recipe=coc"): "did you mean coco?",
        ("train", "--glam_step=3"): "Did you mean: glam_steps",
        ("train", "--recipe=coco", "--scales=9"): "--scales=9",
        ("export",): "--workdir",
    }
    results = run_without_tensorflow(tmp_path, *lines)
    for (_, out, error), (arguments, hint) in zip(results, lines.items(), strict=True):
        # Python prints a text that SystemExit has as its code.
        message = error or results[0][0]
        assert hint in message, arguments
        assert message.count("\n") == bool(error)
        assert bool(out) == ("choose a recipe" in hint)
    assert [status for status, _, _ in results[1:]] == [1] * (len(lines) - 1)
    bare_train = results[1][1]
    assert re.search(r"^  --recipe=cub +CUB-200-2011 ", bare_train, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_program_lists_its_verbs(tmp_path):
    for status, text, error in run_without_tensorflow(
        tmp_path, [], ["--help"], ["help"], ["-h"]
    ):
        assert (status, error) == (0, "")
        for verb, about in cli.VERBS.items():
            assert re.search(rf"^  {verb} +{about}$", text, re.MULTILINE)
    ways = [["export", "help"], ["help", "export"], ["export", "-h"]]
    helps = run_without_tensorflow(tmp_path, *ways, ["export", "--helpfull"])
    assert {text for _, text, _ in helps[:3]} == {helps[0][1]}
    assert "--verbosity" not in helps[0][1] and "--verbosity" in helps[3][1]
