"""Tries of a request until it is answered or its time is over."""

import random
import time
from collections.abc import Callable
from typing import Any

from mirrorgan_tf.errors import UserError

__all__ = ["PassingFailure", "call_with_retries", "one_line"]

# Seconds before the first new try; each further one waits twice as long.
_WAIT_S = 0.2


class PassingFailure(Exception):
    """A failure that may pass."""


def call_with_retries(
    call: Callable[[float], Any], server: str, deadline: float, retries: int
) -> Any:
    """What `call` returns, tried again after each `PassingFailure`.

    Args:
        call: takes the seconds that are left.
        server: what is asked, for the error.
        deadline: by `time.monotonic()`.
        retries: tries after the first.

    Raises:
        UserError: the last try failed, or there is no time for another.
    """
    start = time.monotonic()
    for attempt in range(retries + 1):
        try:
            return call(max(deadline - time.monotonic(), 0.001))
        except PassingFailure as failure:
            wait_s = _WAIT_S * 2**attempt * random.uniform(0.5, 1.0)
            if attempt == retries or time.monotonic() + wait_s >= deadline:
                raise UserError(
                    f"{server}: {one_line(failure)} ({attempt + 1} tries in "
                    f"{time.monotonic() - start:.1f} s); is it "
                    "running, and is --timeout_s long enough?"
                ) from None
            time.sleep(wait_s)


def one_line(message: Any) -> str:
    """A message without its line breaks."""
    return " ".join(str(message).split())
