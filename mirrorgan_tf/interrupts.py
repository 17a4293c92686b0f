"""Ctrl-C in a command: one word and exit status 130, even while it is still starting.

It imports little, and only from the standard library, because Ctrl-C during imports
before the handler is installed would print a traceback.
"""

import os
import signal
from types import FrameType

__all__ = [
    "INTERRUPTED_STATUS",
    "exit_on_interrupt",
    "raise_on_interrupt",
    "write_to",
]

# The status of a process that SIGINT has ended, as shells report it.
INTERRUPTED_STATUS = 128 + signal.SIGINT

_stderr = 2


def write_to(descriptor: int) -> None:
    """Names the file descriptor of the terminal while stderr leads elsewhere."""
    global _stderr
    _stderr = descriptor


def exit_on_interrupt() -> None:
    """From now on Ctrl-C ends the process at once; for the time while it starts."""
    _replace(signal.default_int_handler, _exit)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, but ends the process in imports.

    Imports may swallow the exception: optional packages are imported inside `try`
    blocks, and Python ignores what its own callbacks raise.
    """
    _replace(_exit, _raise_or_exit)
    _replace(signal.default_int_handler, _raise_or_exit)


def _replace(expected, handler):
    # Other handlers stay: shells start background processes with SIGINT ignored, and
    # programs that call a command may have their own.
    try:
        if signal.getsignal(signal.SIGINT) is expected:
            signal.signal(signal.SIGINT, handler)
    except ValueError:
        pass  # Only the main thread may set handlers.


def _exit(_number, _frame):
    os.write(_stderr, b"interrupted\n")
    os._exit(INTERRUPTED_STATUS)


def _raise_or_exit(number, frame: FrameType | None):
    caller = frame
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            _exit(number, frame)
        caller = caller.f_back
    raise KeyboardInterrupt
