import io
import sys

import pytest
from absl import logging

from mirrorgan_tf import progress
from mirrorgan_tf.progress import Progress, format_duration
from mirrorgan_tf.terminal import escaped_streams


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    seconds = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


@pytest.fixture
def records(monkeypatch):
    """Log lines with their JSON fields."""
    logged = []
    monkeypatch.setattr(
        logging, "info", lambda text, *args, extra: logged.append((text % args, extra))
    )
    return logged


def test_a_file_gets_a_line_every_few_seconds_and_the_last(clock, records):
    with Progress("packing", total=1000, done=200) as task:
        for _ in range(8):
            clock[0] += 4
            task.add(100)
    lines = [line for line, _ in records]
    assert lines == [
        "packing 500/1,000 images | ETA 0:20 | 25.0 images/s",
        "packing 800/1,000 images | ETA 0:08 | 25.0 images/s",
        "packing 1,000/1,000 images | ETA 0:00 | 25.0 images/s",
    ]
    assert records[0][1]["fields"] == {
        "task": "packing",
        "done": 500,
        "total": 1000,
        "eta_s": 20.0,
        "images_per_second": 25.0,
    }


def test_the_speed_leaves_out_the_time_before_a_restart_of_the_clock(clock, records):
    task = Progress(
        "glam",
        total=30,
        unit="steps",
        speed_factor=16,
        speed_unit="images",
        seconds_between_lines=0,
    )
    clock[0] += 60
    task.restart_clock(10)
    clock[0] += 10
    task.update(20, {"generator": 1.5}, {"stage": "glam"})
    line, extra = records[0]
    assert line == "glam 20/30 steps | ETA 0:10 | 16.0 images/s | generator 1.500"
    assert extra["fields"]["generator"] == 1.5
    assert extra["fields"]["stage"] == "glam"


def test_a_terminal_has_one_line_that_stays_below_what_is_printed(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", Terminal())
    with escaped_streams():
        with Progress("decoding", total=3) as task:
            for _ in range(2):
                clock[0] += 1
                task.add()
            print("a warning\x1b[2J", file=sys.stderr)
        written = terminal.getvalue()
    first, second, warning, rest = written.split("\r\x1b[K")
    assert first == "decoding 1/3 images | ETA 0:02 | 1.0 images/s"
    assert second == "decoding 2/3 images | ETA 0:01 | 1.0 images/s"
    assert warning.startswith("a warning\\x1b[2J") and warning.endswith(second)
    assert "\n" not in rest


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03"), (float("inf"), "?")],
)
def test_durations_are_clock_times(seconds, text):
    assert format_duration(seconds) == text
