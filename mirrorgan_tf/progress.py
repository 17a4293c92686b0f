"""Progress of a long task: how much is done, how fast, and when it will end.

    with Progress("packing", total=len(index)) as progress:
        for batch in batches:
            ...
            progress.add(len(batch))

On a terminal one line is rewritten. A file or a pipe gets a log line every few seconds,
and a JSON object with `--log_format=json`.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

from absl import logging

from mirrorgan_tf.terminal import status_line

__all__ = ["Progress", "format_duration"]

_SECONDS_BETWEEN_REDRAWS = 0.2


class Progress:
    """Counts items and reports speed and the time that is left.

    Args:
        task: what is being done, the first word of the line: "packing", "glam".
        total: items to do, those that are done already included.
        done: items that were done before.
        unit: what is counted, in the plural.
        speed_factor: units that the speed counts for one item, such as images a step.
        speed_unit: those units; None: `unit`.
        seconds_between_lines: of log lines, where there is no terminal; 0 logs at
            each call.
    """

    def __init__(
        self,
        task: str,
        total: int,
        *,
        done: int = 0,
        unit: str = "images",
        speed_factor: int = 1,
        speed_unit: str | None = None,
        seconds_between_lines: float = 10.0,
    ):
        self.task = task
        self.total = total
        self.done = done
        self._unit = unit
        self._speed_factor = speed_factor
        self._speed_unit = speed_unit or unit
        self._seconds_between_lines = seconds_between_lines
        self._reported_at = time.monotonic()
        self.restart_clock()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        line = status_line()
        if line is not None:
            line.show("")

    def restart_clock(self, done: int | None = None) -> None:
        """Leaves the time until now out of the speed: tracing, pictures.

        Args:
            done: items that are done; None: as many as before.
        """
        self.done = self.done if done is None else done
        self._clock_start = time.monotonic()
        self._done_at_start = self.done

    def add(self, count: int = 1) -> None:
        """Counts items that are done."""
        self.update(self.done + count)

    def update(
        self,
        done: int,
        values: Mapping[str, float] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Sets the number of items that are done, and reports it if it is time to.

        Args:
            done: items in all.
            values: numbers to show beside it, such as losses.
            fields: further fields of the JSON object.
        """
        self.done = done
        line = status_line()
        interval = (
            self._seconds_between_lines if line is None else _SECONDS_BETWEEN_REDRAWS
        )
        now = time.monotonic()
        if now - self._reported_at < interval and done < self.total:
            return
        self._reported_at = now
        text = self._text(values or {})
        if line is not None and done < self.total:
            line.show(text)
            return
        if line is not None:
            line.show("")
        logging.info(
            "%s", text, extra={"fields": self._fields(values or {}, fields or {})}
        )

    @property
    def items_per_second(self) -> float:
        """The speed since the clock started; 0 before the first item."""
        seconds = max(time.monotonic() - self._clock_start, 1e-9)
        return (self.done - self._done_at_start) / seconds

    @property
    def seconds_left(self) -> float:
        """Until all is done at this speed; infinite before the first item."""
        rate, left = self.items_per_second, self.total - self.done
        return left / rate if rate else math.inf

    def _text(self, values):
        parts = [
            f"{self.task} {self.done:,}/{self.total:,} {self._unit}",
            f"ETA {format_duration(self.seconds_left)}",
            f"{self.items_per_second * self._speed_factor:.1f} {self._speed_unit}/s",
        ]
        if values:
            parts.append("  ".join(f"{name} {v:.3f}" for name, v in values.items()))
        return " | ".join(parts)

    def _fields(self, values, fields):
        left = self.seconds_left
        speed = self.items_per_second * self._speed_factor
        return {
            "task": self.task,
            "done": self.done,
            "total": self.total,
            "eta_s": None if math.isinf(left) else round(left, 1),
            f"{self._speed_unit}_per_second": round(speed, 2),
            **values,
            **fields,
        }


def format_duration(seconds: float) -> str:
    """A duration as 1:02:03 or 2:03; "?" if it is infinite."""
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
