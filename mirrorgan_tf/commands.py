"""What all commands share: flags, log, Ctrl-C, and errors as one line and a status."""

import contextlib
import faulthandler
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from absl import flags, logging

from mirrorgan_tf import interrupts
from mirrorgan_tf.command_help import help_level, help_text, program_name
from mirrorgan_tf.config.config_flags import settings_are_given
from mirrorgan_tf.config.flagfiles import expand_flagfiles, list_recipes, recipe_names
from mirrorgan_tf.errors import UserError, first_line, is_out_of_memory
from mirrorgan_tf.logs import hide_tensorflow_warnings, start_logging
from mirrorgan_tf.terminal import escaped_streams, logs_json, one_line

__all__ = ["command_line", "require_settings", "run", "start_keras"]

# The status of a process that SIGPIPE has ended, as shells report it.
_BROKEN_PIPE_STATUS = 141


def run(
    main: Callable[..., int | None],
    define_flags: Callable[[], None] = lambda: None,
    *,
    operands: Sequence[str] = (),
) -> None:
    """Defines and parses absl flags, calls `main` and exits with its status.

    With `--help` it prints the docstring of main's module and all flags instead.

    Args:
        main: the command. Its arguments are those of the command line that are not
            flags.
        define_flags: defines the command's flags in `flags.FLAGS`. They are removed
            when `run` ends, so that a command can run twice in a process.
        operands: names of main's arguments. All are required, except that a last name
            with `...` at its end stands for any number of texts. Several texts of one
            word each are refused: their quotes are probably missing.

    Exit status: what `main` returns (None is 0), 1 for a `UserError`, a wrong flag, too
    little memory or output that can't be written, 130 after Ctrl-C, 141 if nobody
    reads the output.
    """
    interrupts.exit_on_interrupt()
    start_logging()
    hide_tensorflow_warnings()
    with contextlib.suppress(Exception):
        # A crash of native code prints the Python stack. There may be no stderr.
        faulthandler.enable()
    defined_before = set(flags.FLAGS)
    with escaped_streams(), _standard_streams():
        try:
            define_flags()
            own_flags = [name for name in flags.FLAGS if name not in defined_before]
            level = help_level(sys.argv[1:])
            if level:
                print(help_text(main, own_flags, operands, full=level > 1))
                sys.exit(0)
            sys.exit(_call(main, _parse(sys.argv), operands))
        finally:
            for name in set(flags.FLAGS) - defined_before:
                delattr(flags.FLAGS, name)


def start_keras() -> None:
    """Imports Keras and TensorFlow with the settings that the commands need.

    Commands call it before they import anything that imports either of them, and after
    they have answered `--help` and wrong flags, since it takes seconds. Ends the
    process with one line if Keras can't be imported.
    """
    settings = importlib.import_module("mirrorgan_tf.keras_settings")
    if settings.GPU_PROBLEM:
        logging.warning("%s", settings.GPU_PROBLEM)


def require_settings(command: str) -> None:
    """Prints the recipes of a command if no setting is given.

    Raises:
        UserError: no setting is given.
    """
    if settings_are_given():
        return
    print(f"Recipes:\n{list_recipes(command)}")
    raise UserError(
        "no settings; choose a recipe, such as "
        f"--recipe={recipe_names(command)[0]} (--help lists all settings)"
    )


def command_line() -> str:
    """The running command with its arguments, as it is typed in a shell."""
    return f"{program_name()} {shlex.join(sys.argv[1:])}"


def _parse(argv):
    """Sets the flags and returns the other arguments."""
    try:
        return flags.FLAGS([argv[0], *expand_flagfiles(argv[1:])])[1:]
    except (flags.Error, UserError) as error:
        reason = " ".join(str(error).split())
        print(f"error: {one_line(reason)}; --help lists all flags", file=sys.stderr)
        sys.exit(1)


def _call(main, arguments, operands):
    """Calls main and returns the exit status; prints errors in one line."""
    interrupts.raise_on_interrupt()
    if logs_json():
        start_logging(as_json=True)
    if "mirrorgan_tf.keras_settings" in sys.modules:
        # The command has imported it directly.
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
            f"machine with more memory ({first_line(error)})"
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
    if any_number and len(arguments) > 1 and not any(" " in text for text in arguments):
        # Most likely one text that was typed without quotes.
        name = operands[-1].removesuffix("...")
        raise UserError(
            f"{len(arguments)} arguments of one word; write quotes around each {name}: "
            f"{' '.join(arguments)!r}"
        )


def _fail(message):
    if logs_json():
        logging.error("%s", message)
    else:
        print(f"error: {one_line(message)}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _standard_streams():
    """Makes any text printable, and turns output that can't be written into one line.

    Characters that the terminal's encoding lacks are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    failure = None
    try:
        yield
    except OSError:
        # Writing to them again shows whether one of these streams has failed.
        failure = _write_error(sys.stdout, "\n") or _write_error(sys.stderr, "\n")
        if failure is None:
            raise
    finally:
        failure = failure or _write_error(sys.stdout, "")
        for stream in (sys.stdout, sys.stderr):
            if _write_error(stream, ""):
                # Otherwise Python writes the rest at its exit and prints a traceback.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(failure, BrokenPipeError):
            sys.exit(_BROKEN_PIPE_STATUS)
        if failure:
            print(f"error: the output can't be written: {failure}", file=sys.stderr)
            sys.exit(1)


def _write_error(stream, text):
    """Writes a text and what the stream still buffers; the OSError of that, or None."""
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except OSError as error:
        return error
    return None
