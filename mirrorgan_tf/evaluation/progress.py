"""Tells how far a long pass over images is."""

import time

from absl import logging

__all__ = ["Progress"]

_SECONDS = 10.0


class Progress:
    """Log lines with images/s and the time left, every ten seconds and at the end."""

    def __init__(self, label: str, total: int, done: int = 0):
        """Starts the clock; `done` of `total` were there before."""
        self._label = label
        self._total = total
        self._before = self._done = done
        self._start = self._told = time.monotonic()
        if done:
            logging.info("%s: %d of %d were there already", label, done, total)

    def add(self, count: int) -> None:
        """Counts images."""
        self._done += count
        now = time.monotonic()
        if now - self._told < _SECONDS and self._done < self._total:
            return
        self._told = now
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        minutes, seconds = divmod(round((self._total - self._done) / rate), 60)
        logging.info(
            "%s %d/%d | ETA %d:%02d | %.1f images/s",
            self._label,
            self._done,
            self._total,
            minutes,
            seconds,
            rate,
        )
