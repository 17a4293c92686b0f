"""What every command shares: a user's mistake is one line, never a traceback."""

import contextlib
import json
import logging as python_logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator

from absl import app, flags, logging

# TensorFlow reads this once, at its import; commands import this module first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__all__ = ["UserError", "quiet", "run"]


class UserError(Exception):
    """A mistake the user can mend; its text says what is wrong and how."""


def run(main: Callable[[], int | None]) -> None:
    """Parses absl flags, calls `main()` and exits with its status.

    Exit status: what `main` returns (None is 0), 1 for a `UserError` or a bad
    flag, 130 after Ctrl-C.
    """

    def guarded(argv):
        as_json = "log_format" in flags.FLAGS and flags.FLAGS.log_format == "json"
        logging.get_absl_handler().setFormatter(_JsonFormatter() if as_json else None)
        try:
            if len(argv) > 1:
                raise UserError(
                    f"unexpected argument {argv[1]!r}; options are written --name=value"
                )
            return main()
        except UserError as error:
            if as_json:
                logging.error("%s", error)
            else:
                print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(None)
    # It says everything twice, and nothing that is of use here.
    python_logging.getLogger("tensorflow").setLevel(python_logging.WARNING)
    app.run(guarded, flags_parser=_parse)


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
    try:
        return flags.FLAGS(argv)
    except (flags.Error, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        print(f"error: {reason}; --help lists all flags", file=sys.stderr)
        sys.exit(1)


class _JsonFormatter(python_logging.Formatter):
    """One JSON object a line: time, level, message, and what the line tells of."""

    def format(self, record):
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        } | getattr(record, "fields", {})
        return json.dumps(_finite(fields), ensure_ascii=False)


def _finite(value):
    """JSON knows neither NaN nor infinity: null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
