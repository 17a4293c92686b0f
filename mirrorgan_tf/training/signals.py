"""SIGTERM and SIGINT during a training: finish the step, save, stop."""

import contextlib
import signal
import sys
from collections.abc import Iterator

from absl import logging

__all__ = ["Stopped", "StopSignals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """The training was asked to stop, and all that it did is saved."""


class StopSignals:
    """Context in which the first signal asks to stop; the second is at once.

    Outside `deferred` nothing is under way that could be lost: there the first
    signal raises `Stopped` on the spot.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False
        self._before = {}

    def __enter__(self) -> "StopSignals":
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        self._hook_before = sys.unraisablehook
        sys.unraisablehook = self._tell_unraisable
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

    def _tell_unraisable(self, unraisable):
        # Python drops what a callback of its memory management raises. Of `Stopped`
        # nothing is lost: the next `deferred` raises it again.
        if not isinstance(unraisable.exc_value, Stopped):
            self._hook_before(unraisable)

    def _handle(self, number, _frame):
        for other in _SIGNALS:
            # Not by a handler: it would wait for the end of TensorFlow's step.
            signal.signal(other, signal.SIG_DFL)
        self.requested = True
        name = signal.Signals(number).name
        if not self._deferred:
            raise Stopped
        # The signal may have come while a line was being written.
        with contextlib.suppress(RuntimeError):
            logging.info("%s: finishing the step; once more stops at once", name)
