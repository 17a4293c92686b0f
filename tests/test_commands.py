import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import PYTHON_WITH_SIGINT, ROOT

# A command without TensorFlow: --do names what it does.
COMMAND = """
import logging as python_logging, sys
from absl import flags, logging
from mirrorgan_tf import commands
from mirrorgan_tf.errors import UserError
def define_flags():
    flags.DEFINE_string("log_format", "text", "")
    flags.DEFINE_integer("steps", 1, "")
    flags.DEFINE_integer("lines", 1, "")
    flags.DEFINE_string("do", "nothing", "")
def main(*captions):
    if flags.FLAGS.do == "print":
        for _ in range(flags.FLAGS.lines):
            print("one – two \\udcff")
        print("three –", file=sys.stderr)
    elif flags.FLAGS.do == "print captions":
        print(captions)
    elif flags.FLAGS.do == "print errors":
        for _ in range(flags.FLAGS.lines):
            print("one – two", file=sys.stderr)
    elif flags.FLAGS.do == "interrupt":
        import signal
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            print("cleaned up")
    elif flags.FLAGS.do == "warn":
        tensorflow = python_logging.getLogger("tensorflow")
        tensorflow.warning("5 out of the last 5 calls retraced")
        tensorflow.error("a device is lost")
    else:
        logging.info("a %s", "line", extra={"fields": {"loss": float("nan"), "é": 1.5}})
    if flags.FLAGS.do == "allocate":
        bytearray(2**60)
    if flags.FLAGS.do == "fail":
        raise UserError("--steps=1: too few")
commands.run(main, define_flags, operands=["CAPTION..."])
"""


def run(*arguments, script=COMMAND, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [*PYTHON_WITH_SIGINT, "-c", script, *arguments],
        cwd=ROOT,
        text=True,
        timeout=60,
        **options,
    )


def test_text_log_has_plain_lines():
    done = run("--do=fail")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "a line\nerror: --steps=1: too few\n"


def test_json_log_has_an_object_a_line_errors_included():
    done = run("--do=fail", "--log_format=json")
    assert done.returncode == 1
    line, error = map(json.loads, done.stderr.splitlines())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "message": "a line", "loss": None, "é": 1.5}
    assert (error["level"], error["message"]) == ("error", "--steps=1: too few")


def test_arguments_that_are_not_flags_reach_the_command():
    done = run("a red bird", "--do=print captions", "--", "--a bird")
    assert done.stdout == "('a red bird', '--a bird')\n"
    unquoted = run("a", "red", "bird", "--do=print captions")
    assert unquoted.stderr == (
        "error: 3 arguments of one word; write quotes around each CAPTION: "
        "'a red bird'\n"
    )
    script = COMMAND.replace('["CAPTION..."]', '["FOLDER"]')
    missing, unexpected = run(script=script), run("a", "b", script=script)
    assert missing.stderr == "error: FOLDER is missing\n"
    assert (
        "unexpected argument 'b'; flags are written --name=value" in unexpected.stderr
    )


def test_too_little_memory_is_one_line():
    done = run("--do=allocate")
    assert done.returncode == 1
    assert done.stderr.startswith("a line\nerror: out of memory: ")
    assert done.stderr.count("\n") == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"--steps=\xff\xfe\n", "line 1: bytes that are not UTF-8"),
        (b"--step=3\n", "Did you mean: steps"),
    ],
)
def test_bad_flagfile_is_one_line(tmp_path, content, words):
    path = tmp_path / "flags.cfg"
    path.write_bytes(content)
    done = run(f"--flagfile={path}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_text_that_the_output_cannot_encode_is_escaped(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = run("--do=print", env=environment)
    assert done.returncode == 0, done.stderr
    dash = "–" if encoding == "utf-8" else "\\u2013"
    assert done.stdout == f"one {dash} two \\udcff\n"
    assert done.stderr == f"three {dash}\n"


@pytest.mark.parametrize("lines", [1, 10_000], ids=["at exit", "while it prints"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_reads_ends_the_command_quietly(lines, stream):
    read_end, write_end = os.pipe()
    os.close(read_end)
    what = {"stdout": "print", "stderr": "print errors"}[stream]
    with open(write_end, "wb") as pipe:
        done = run(f"--do={what}", f"--lines={lines}", **{stream: pipe})
    # A shell reports a process that SIGPIPE has ended, -13 here, as 141 too.
    assert done.returncode in (141, -13)
    assert "Traceback" not in (done.stderr or "")
    assert "BrokenPipe" not in (done.stderr or "")


@pytest.mark.parametrize("lines", [1, 10_000], ids=["at exit", "while it prints"])
def test_output_on_a_full_disk_is_one_line(lines):
    with open("/dev/full", "wb") as full:
        done = run("--do=print", f"--lines={lines}", stdout=full)
    assert done.returncode == 1
    assert "error: the output can't be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_standard_streams_are_no_error(closed):
    line = f'exec "$0" -c "$1" --do=print {closed}'
    assert not subprocess.call(["sh", "-c", line, sys.executable, COMMAND], cwd=ROOT)


def test_tensorflow_warnings_of_retracing_are_hidden_and_errors_are_not():
    done = run("--do=warn")
    assert (done.returncode, done.stderr) == (0, "a device is lost\n")


def test_ctrl_c_in_a_command_raises_keyboard_interrupt():
    done = run("--do=interrupt")
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert done.stderr == "interrupted\n"


def test_ctrl_c_during_imports_ends_the_command_with_one_word(tmp_path):
    # A module in place of TensorFlow, which prints a line and swallows exceptions.
    (tmp_path / "tensorflow.py").write_text(
        "import time\nprint('importing', flush=True)\n"
        "try:\n    time.sleep(50)\nexcept BaseException:\n    pass\n"
    )
    process = subprocess.Popen(
        [*PYTHON_WITH_SIGINT, "-m", "mirrorgan_tf.train", "--recipe=birdlets"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "interrupted\n")


def test_library_import_leaves_signals_alone():
    script = "import mirrorgan_tf.commands, signal; print(signal.getsignal(2))"
    assert "default_int_handler" in run(script=script).stdout


def test_command_runs_twice_in_a_process():
    script = """
import runpy, sys
sys.argv = ["evaluate", "--workdir=", "--seed=3"]
for _ in range(2):
    try:
        runpy.run_module("mirrorgan_tf.evaluate", run_name="__main__")
    except SystemExit as error:
        print(error.code)
from mirrorgan_tf import evaluate
evaluate.define_flags()
"""
    done = run(script=script)
    assert (done.returncode, done.stdout) == (0, "1\n1\n"), done.stderr
    assert done.stderr.count("error: --workdir is missing") == 2
