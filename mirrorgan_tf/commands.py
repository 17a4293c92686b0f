"""What every command shares: a user's mistake is one line, never a traceback."""

import contextlib
import importlib
import json
import logging as python_logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from absl import app, flags, logging

from mirrorgan_tf import interrupts
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.terminal import escaped_streams, one_line

__all__ = ["is_out_of_memory", "quiet", "run", "start_keras"]

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

    Args:
        main: the command; the operands are its arguments.
        define_flags: the command's flags.
        operands: names of the arguments that are no flags, all required.

    The flags are gone when it returns, so that a command can run twice in a process.

    Exit status: what `main` returns (None is 0), 1 for a `UserError`, a bad flag, too
    little memory or output that can't be written, 130 after Ctrl-C, 141 if nobody
    reads the output.
    """

    def fail(message):
        if _logs_json():
            logging.error("%s", message)
        else:
            print(f"error: {one_line(message)}", file=sys.stderr)
        return 1

    def guarded(argv):
        interrupts.raise_on_interrupt()
        as_json = _logs_json()
        formatter = _JsonFormatter() if as_json else _LineFormatter()
        logging.get_absl_handler().setFormatter(formatter)
        if "mirrorgan_tf.keras_settings" in sys.modules:
            start_keras()
        try:
            given = argv[1:]
            if len(given) < len(operands):
                raise UserError(f"{operands[len(given)]} is missing; give its path")
            if len(given) > len(operands):
                raise UserError(
                    f"unexpected argument {given[len(operands)]!r}; options are "
                    "written --name=value"
                )
            return main(*given)
        except UserError as error:
            return fail(str(error))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return fail(
                "out of memory: stop what else uses it, ask for smaller batches, or "
                f"take a machine that has more ({_first_line(error)})"
            )
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return interrupts.INTERRUPTED_STATUS

    interrupts.exit_on_interrupt()
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(_LineFormatter())
    # It repeats errors, and its warnings are about code, not about what a user does.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    defined_before = set(flags.FLAGS)
    with escaped_streams(), _standard_streams():
        try:
            define_flags()
            app.run(guarded, flags_parser=_parse)
        finally:
            for name in set(flags.FLAGS) - defined_before:
                delattr(flags.FLAGS, name)


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
    # It needs this module's `UserError`.
    from mirrorgan_tf.config.flagfiles import expand_marked_flagfiles

    try:
        return flags.FLAGS([argv[0], *expand_marked_flagfiles(argv[1:])])
    except (flags.Error, UserError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.filename is None:
            # Not a flagfile's: --help could not be printed.
            raise
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
