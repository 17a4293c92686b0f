import json
import os
import signal
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
flags.DEFINE_bool("allocate", False, "")
def main():
    logging.info("a %s", "line", extra={"fields": {"loss": float("nan"), "é": 1.5}})
    if flags.FLAGS.allocate:
        bytearray(2**60)
    if flags.FLAGS.fail:
        raise errors.UserError("--steps=1: too few")
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


def test_too_little_memory_is_one_line():
    done = run("--allocate")
    assert done.returncode == 1
    assert done.stderr.startswith("a line\nerror: out of memory: ")
    assert done.stderr.count("\n") == 2


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


PRINTING = """
import sys
from mirrorgan_tf import commands
def main():
    for _ in range(int(sys.argv[0])):
        print("one – two \\udcff")
    print("three –", file=sys.stderr)
sys.argv = [{lines!r}]
commands.run(main)
"""


def print_lines(lines, **options):
    return subprocess.run(
        [sys.executable, "-c", PRINTING.format(lines=str(lines))],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **options,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_text_that_the_output_cannot_encode_is_escaped(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = print_lines(1, stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0, done.stderr
    dash = "–" if encoding == "utf-8" else "\\u2013"
    assert done.stdout == f"one {dash} two \\udcff\n"
    assert done.stderr == f"three {dash}\n"


@pytest.mark.parametrize("lines", [1, 10_000], ids=["at the end", "on the way"])
@pytest.mark.parametrize("to_stderr", [False, True])
def test_output_that_nobody_reads_ends_the_command_quietly(lines, to_stderr):
    read_end, write_end = os.pipe()
    os.close(read_end)
    script = PRINTING.format(lines=str(lines))
    if to_stderr:
        script = script.replace('udcff")', 'udcff", file=sys.stderr)')
    with open(write_end, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=pipe,
            stderr=pipe if to_stderr else subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 141
    assert to_stderr or b"Traceback" not in done.stderr
    assert to_stderr or b"BrokenPipe" not in done.stderr


@pytest.mark.parametrize("lines", [1, 10_000], ids=["at the end", "on the way"])
def test_output_on_a_full_disk_is_one_line(lines):
    with open("/dev/full", "wb") as full:
        done = print_lines(lines, stdout=full)
    assert done.returncode == 1
    assert "error: the output can't be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_closed_standard_streams_are_no_error():
    for closed in ("1>&-", "2>&-", "1>&- 2>&-"):
        script = PRINTING.format(lines="1")
        done = subprocess.run(
            ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, script],
            cwd=ROOT,
            timeout=60,
        )
        assert done.returncode == 0


def heed_interrupts():
    """For a new process: background jobs of shells begin with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted_import(tmp_path, package_source, command):
    """Status and stderr of a command that is interrupted while it imports TensorFlow.

    A stand-in for TensorFlow says where the import is.
    """
    (tmp_path / "tensorflow.py").write_text(package_source)
    process = subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


@pytest.mark.parametrize(
    "command", ["mirrorgan_tf.train", "export --workdir=no --out=no"]
)
def test_ctrl_c_during_imports_is_one_word(tmp_path, command):
    waiting = "import time\nprint('importing', flush=True)\n"
    swallowing = f"{waiting}try:\n    time.sleep(50)\nexcept BaseException:\n    pass\n"
    assert interrupted_import(tmp_path, swallowing, command) == (130, "interrupted\n")


def test_ctrl_c_in_a_command_raises_keyboard_interrupt():
    script = """
import signal, sys
from mirrorgan_tf import commands
def main():
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        print("cleaned up")
sys.argv = ["command"]
commands.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert done.stderr == "interrupted\n"


def test_a_library_import_leaves_signals_alone():
    script = "import mirrorgan_tf.commands, signal; print(signal.getsignal(2))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert "default_int_handler" in done.stdout


def test_a_command_runs_twice_in_a_process():
    script = """
import importlib, runpy, sys
sys.argv = ["evaluate", "--workdir=", "--seed=3"]
for _ in range(2):
    try:
        runpy.run_module("mirrorgan_tf.evaluate", run_name="__main__")
    except SystemExit as error:
        print(error.code)
from mirrorgan_tf import evaluate
evaluate.define_flags()
importlib.reload(evaluate)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n1\n"
    assert done.stderr.count("error: --workdir is missing") == 2


def test_tensorflow_s_warnings_of_retracing_stay_out_of_our_lines():
    script = """
import logging, sys
from mirrorgan_tf import commands
def main():
    logging.getLogger("tensorflow").warning("5 out of the last 5 calls retraced")
    logging.getLogger("tensorflow").error("a device is lost")
sys.argv = ["command"]
commands.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == "a device is lost\n"
