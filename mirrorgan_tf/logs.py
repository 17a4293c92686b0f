"""Format of log lines, as text or as JSON, and TensorFlow's own warnings."""

import contextlib
import json
import logging as python_logging
import math
import time
from collections.abc import Iterator

from absl import logging

from mirrorgan_tf.terminal import one_line

__all__ = ["hide_tensorflow_warnings", "quiet", "start_logging"]


def start_logging(*, as_json: bool = False) -> None:
    """Logs messages of level INFO and above, one line each, on stderr."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    formatter = _JsonFormatter() if as_json else _LineFormatter()
    logging.get_absl_handler().setFormatter(formatter)


def hide_tensorflow_warnings() -> None:
    """Hides warnings of TensorFlow's Python code, for example of retracing.

    They are for programmers; a user can do nothing about them.
    """
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides all warnings, ours included, while TensorFlow saves or restores."""
    tensorflow = python_logging.getLogger("tensorflow")
    before = logging.get_verbosity(), tensorflow.level
    logging.set_verbosity(logging.ERROR)
    hide_tensorflow_warnings()
    try:
        yield
    finally:
        logging.set_verbosity(before[0])
        tensorflow.setLevel(before[1])


class _LineFormatter(python_logging.Formatter):
    """One line a message, whatever names it quotes; a traceback keeps its lines."""

    def formatMessage(self, record):  # noqa: N802
        return one_line(super().formatMessage(record))


class _JsonFormatter(python_logging.Formatter):
    """One JSON object a line: time, level, message, and the fields of the record."""

    def format(self, record):
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        } | getattr(record, "fields", {})
        return json.dumps(_finite(fields))


def _finite(value):
    """Replaces NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
