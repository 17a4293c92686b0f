import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
from absl import flags, logging
from mirrorgan_tf import commands
flags.DEFINE_string("log_format", "text", "")
flags.DEFINE_integer("steps", 1, "")
flags.DEFINE_bool("fail", False, "")
def main():
    logging.info("a %s", "line", extra={"fields": {"loss": float("nan"), "é": 1.5}})
    if flags.FLAGS.fail:
        raise commands.UserError("--steps=1: too few")
commands.run(main)
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_lines_for_machines_are_json_the_error_too():
    done = run("--log_format=json", "--fail")
    assert done.returncode == 1
    line, error = map(json.loads, done.stderr.splitlines())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "message": "a line", "loss": None, "é": 1.5}
    assert error["level"] == "error"
    assert error["message"] == "--steps=1: too few"


def test_lines_for_people_are_plain():
    done = run("--fail")
    assert done.returncode == 1
    assert done.stderr == "a line\nerror: --steps=1: too few\n"
    assert run().returncode == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "flags.cfg"),
        (b"--steps=\xff\xfe\n", "utf-8"),
        (b"--steps=many\n", "--steps=many"),
        (b"--step_count=3\n", "step_count"),
    ],
)
def test_a_bad_flagfile_is_one_line(tmp_path, content, words):
    path = tmp_path / "flags.cfg"
    if content is not None:
        path.write_bytes(content)
    done = run(f"--flagfile={path}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
