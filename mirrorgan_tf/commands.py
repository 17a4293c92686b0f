"""What every command shares: a user's mistake is one line, never a traceback."""

import logging as python_logging
import os
import sys
from collections.abc import Callable

from absl import app, logging

# TensorFlow reads this once, at its import; commands import this module first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__all__ = ["UserError", "run"]


class UserError(Exception):
    """A mistake the user can mend; its text says what is wrong and how."""


def run(main: Callable[[], int | None]) -> None:
    """Parses absl flags, calls `main()` and exits with its status.

    Exit status: what `main` returns (None is 0), 1 for a `UserError` or a bad
    flag, 130 after Ctrl-C.
    """

    def guarded(argv):
        try:
            if len(argv) > 1:
                raise UserError(
                    f"unexpected argument {argv[1]!r}; options are written --name=value"
                )
            return main()
        except UserError as error:
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
    app.run(guarded)
