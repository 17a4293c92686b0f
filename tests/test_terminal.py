import json
import subprocess
import sys
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from mirrorgan_tf.terminal import escape_controls, one_line
from tests.conftest import ROOT

# Clears the screen, sets the title (8 and 7 bits), overrides the direction, breaks the
# line in three ways, and is half a character.
HOSTILE = (
    "a\x1b[2J\x1b]0;b\x07c\x9b2Jd\u202ee\u2066f\u2028g\r\nh\x85i\udc80j\0k\x7fl\bm"
)
ESCAPED = (
    r"a\x1b[2J\x1b]0;b\x07c\x9b2Jd\u202ee\u2066f\u2028g\r\nh\x85i\udc80j\x00k\x7fl\x08m"
)
# Arabic with a joiner, a family of emoji, letters with marks, and a wide space.
HARMLESS = "می\u200cخواهم 👩\u200d👧 naïve e\u0301 日本\u3000語"


def obeyed(text):
    """Characters that a terminal obeys, by their Unicode category."""
    return {
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


def test_one_line_escapes_all_controls():
    assert one_line(HOSTILE) == ESCAPED
    assert one_line(HARMLESS) == HARMLESS


@hypothesis.given(st.text(st.characters()))
def test_no_text_keeps_control_characters(text):
    assert obeyed(escape_controls(text)) <= set("\n\t\u200c\u200d")
    assert obeyed(one_line(text)) <= set("\u200c\u200d")


def test_one_line_is_bounded():
    assert one_line("a" * 10**6) == "a" * 1999 + "…"
    assert one_line("a" * 2000) == "a" * 2000


SCRIPT = """
import sys
from absl import flags, logging
from mirrorgan_tf import commands, errors
HOSTILE = {hostile!a}
def define_flags():
    flags.DEFINE_string("log_format", "text", "")
def main():
    print("printed", HOSTILE)
    print("two\\n\\tlines {harmless}")
    print("on stderr", HOSTILE, file=sys.stderr)
    logging.info("logged %s", HOSTILE)
    raise errors.UserError("failed " + HOSTILE)
commands.run(main, define_flags)
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_commands_print_and_log_no_controls(log_format):
    script = SCRIPT.format(hostile=HOSTILE, harmless=HARMLESS)
    done = subprocess.run(
        [sys.executable, "-c", script, f"--log_format={log_format}"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8"},
        timeout=60,
    )
    assert done.returncode == 1
    assert obeyed(done.stdout + done.stderr) <= set("\n\t\u200c\u200d")
    # Whoever prints a line break means it.
    printed = ESCAPED.replace(r"\n", "\n")
    assert done.stdout == f"printed {printed}\ntwo\n\tlines {HARMLESS}\n"
    assert done.stderr.startswith(f"on stderr {printed}\n")
    logged, failed = done.stderr.splitlines()[2:]
    if log_format == "json":
        assert json.loads(logged)["message"] == f"logged {HOSTILE}"
        assert json.loads(failed)["message"] == f"failed {HOSTILE}"
    else:
        assert (logged, failed) == (f"logged {ESCAPED}", f"error: failed {ESCAPED}")


def test_tracebacks_are_escaped():
    script = f"""
from mirrorgan_tf import commands, errors
def main():
    raise LookupError({HOSTILE!a})
commands.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 1 and obeyed(done.stderr) == {"\n"}
    assert done.stderr.startswith("Traceback (most recent call last)")
    assert done.stderr.count("LookupError: a") == 1


def test_flags_and_arguments_are_escaped():
    script = "from mirrorgan_tf import commands; commands.run(lambda: 0)"
    for argument in ("--\x1b[2J\u202e", "\x1b[2J\u202e"):
        done = subprocess.run(
            [sys.executable, "-c", script, argument],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 1 and obeyed(done.stderr) == {"\n"}
