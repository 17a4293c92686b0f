"""What every command shares: a user's mistake is one line, never a traceback."""

import contextlib
import importlib
import json
import logging as python_logging
import math
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from absl import flags, logging

from mirrorgan_tf import interrupts
from mirrorgan_tf.command_help import help_level, help_text, program_name
from mirrorgan_tf.config.flagfiles import expand_flagfiles, recipe_names
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.terminal import escaped_streams, one_line

__all__ = ["command_line", "is_out_of_memory", "quiet", "run", "start_keras"]

# How TensorFlow, XLA and CUDA report it. A full disk is a ResourceExhaustedError too.
_OUT_OF_MEMORY = re.compile(
    r"\bOOM\b|out of memory|OUT_OF_MEMORY|(failed|unable) to allocate|"
    r"Dst tensor is not initialized",
    re.IGNORECASE,
)

# What shells report for a process that SIGPIPE has ended.
_NO_READER_STATUS = 141


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None] = lambda: None,
    *,
    operands: Sequence[str] = (),
) -> None:
    """Defines and parses absl flags, calls `main` and exits with its status.

    `--help` prints the docstring of main's module and all flags instead.

    Args:
        main: the command; its operands are its arguments.
        define_flags: defines the command's flags in `flags.FLAGS`. They are removed
            when `run` ends, so that a command can run twice in a process.
        operands: names of the arguments that are not flags. All are required, except
            that a last name with `...` at its end stands for any number of them.

    Exit status: what `main` returns (None is 0), 1 for a `UserError`, a wrong flag, too
    little memory or output that can't be written, 130 after Ctrl-C, 141 if nobody
    reads the output.
    """
    interrupts.exit_on_interrupt()
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(_LineFormatter())
    # TensorFlow repeats errors in its log, and its warnings (of retracing, for example)
    # are for programmers.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    defined_before = set(flags.FLAGS)
    with escaped_streams(), _standard_streams():
        try:
            define_flags()
            own_flags = [name for name in flags.FLAGS if name not in defined_before]
            level = help_level(sys.argv[1:])
            if level:
                print(help_text(main, own_flags, operands, full=level > 1))
                sys.exit(0)
            sys.exit(_run_parsed(main, _parse(sys.argv), operands))
        finally:
            for name in set(flags.FLAGS) - defined_before:
                delattr(flags.FLAGS, name)


def _run_parsed(main, arguments, operands):
    """Calls main with the operands and turns errors into a line and a status."""
    interrupts.raise_on_interrupt()
    if _logs_json():
        logging.get_absl_handler().setFormatter(_JsonFormatter())
    if "mirrorgan_tf.keras_settings" in sys.modules:
        start_keras()
    try:
        _check_operands(arguments, operands)
        return main(*arguments)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return interrupts.INTERRUPTED_STATUS
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return _fail(
            "out of memory: end other programs, choose smaller batches or use a "
            f"machine with more memory ({_first_line(error)})"
        )


def _check_operands(arguments, operands):
    any_number = bool(operands) and operands[-1].endswith("...")
    required = operands[:-1] if any_number else operands
    if len(arguments) < len(required):
        raise UserError(f"{required[len(arguments)]} is missing")
    if len(arguments) > len(required) and not any_number:
        argument = arguments[len(required)]
        hint = "flags are written --name=value"
        if argument in recipe_names():
            hint = f"write --recipe={argument}"
        raise UserError(f"unexpected argument {argument!r}; {hint}")


def _fail(message):
    if _logs_json():
        logging.error("%s", message)
    else:
        print(f"error: {one_line(message)}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _standard_streams():
    """Any text can be printed; output that can't be written is no traceback.

    Characters that the terminal's encoding lacks are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    failure = None
    try:
        yield
    except OSError:
        # Only another attempt tells whether it was one of these streams that failed.
        failure = _write_error(sys.stdout, "\n") or _write_error(sys.stderr, "\n")
        if failure is None:
            raise
    finally:
        failure = failure or _write_error(sys.stdout, "")
        for stream in (sys.stdout, sys.stderr):
            if _write_error(stream, ""):
                # Python would write the rest at its exit, and complain.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(failure, BrokenPipeError):
            sys.exit(_NO_READER_STATUS)
        if failure:
            print(f"error: the output can't be written: {failure}", file=sys.stderr)
            sys.exit(1)


def _write_error(stream, text):
    """The OSError of writing a text and all that the stream still holds, or None."""
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except OSError as error:
        return error
    return None


def command_line() -> str:
    """The running command with its flags, as it is typed in a shell."""
    return f"{program_name()} {shlex.join(sys.argv[1:])}"


def start_keras() -> None:
    """Imports Keras and TensorFlow with the settings that the commands need.

    Every command that uses them calls it before it imports anything that imports them.
    Ends the process with one line where Keras can't be imported.
    """
    settings = importlib.import_module("mirrorgan_tf.keras_settings")
    if settings.GPU_PROBLEM:
        logging.warning("%s", settings.GPU_PROBLEM)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or TensorFlow is for want of memory."""
    if isinstance(error, MemoryError):
        return True
    # Commands that don't compute never import TensorFlow.
    tensorflow = sys.modules.get("tensorflow")
    return (
        tensorflow is not None
        and isinstance(error, tensorflow.errors.OpError)
        and _OUT_OF_MEMORY.search(str(error)) is not None
    )


def _first_line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # TensorFlow begins with the function of the graph.
    return re.sub(r"^\{\{.*?\}\} ", "", lines[0])


def _logs_json():
    return "log_format" in flags.FLAGS and flags.FLAGS.log_format == "json"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without TensorFlow's warnings, of saving and the like: nobody can act on them."""
    tensorflow = python_logging.getLogger("tensorflow")
    before = logging.get_verbosity(), tensorflow.level
    logging.set_verbosity(logging.ERROR)
    tensorflow.setLevel(python_logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before[0])
        tensorflow.setLevel(before[1])


def _parse(argv):
    """The operands; sets the flags."""
    try:
        return flags.FLAGS([argv[0], *expand_flagfiles(argv[1:])])[1:]
    except (flags.Error, UserError) as error:
        reason = " ".join(str(error).split())
        print(f"error: {one_line(reason)}; --help lists all flags", file=sys.stderr)
        sys.exit(1)


class _LineFormatter(python_logging.Formatter):
    """A message a line, whatever names it quotes; a traceback keeps its lines."""

    def formatMessage(self, record):  # noqa: N802
        return one_line(super().formatMessage(record))


class _JsonFormatter(python_logging.Formatter):
    """One JSON object a line: time, level, message, and what the line tells of."""

    def format(self, record):
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        } | getattr(record, "fields", {})
        return json.dumps(_finite(fields))


def _finite(value):
    """JSON knows neither NaN nor infinity: null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
