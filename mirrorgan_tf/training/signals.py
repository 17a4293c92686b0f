"""SIGTERM and SIGINT during a training: finish the step, save a checkpoint, stop."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from absl import logging

__all__ = ["Stopped", "StopSignals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """A signal stopped the training; its progress is saved."""


class StopSignals:
    """Context in which the first signal requests a stop and the second kills at once.

    Outside `deferred` there is no progress to lose: there the first signal raises
    `Stopped` immediately.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False
        self._before = {}

    def __enter__(self) -> "StopSignals":
        # Python allows only the main thread to set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        self._hook_before = sys.unraisablehook
        sys.unraisablehook = self._ignore_unraisable_stop
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook_before

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While it lasts, a signal only sets `requested`; its end raises `Stopped`."""
        if self.requested:
            raise Stopped
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested:
            raise Stopped

    def _ignore_unraisable_stop(self, unraisable):
        # Python discards exceptions that destructors raise, and prints them. `Stopped`
        # needs no message: the next `deferred` raises it again.
        if not isinstance(unraisable.exc_value, Stopped):
            self._hook_before(unraisable)

    def _handle(self, number, _frame):
        for other in _SIGNALS:
            # A Python handler would run only after TensorFlow's step.
            signal.signal(other, signal.SIG_DFL)
        self.requested = True
        name = signal.Signals(number).name
        if not self._deferred:
            raise Stopped
        # The signal may have come while a line was being written.
        with contextlib.suppress(RuntimeError):
            logging.info("%s: finishing the step; a second one stops at once", name)
