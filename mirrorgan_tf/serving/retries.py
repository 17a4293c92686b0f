"""Repeats a request until it succeeds or its time is over."""

import random
import time
from collections.abc import Callable
from typing import Any

from mirrorgan_tf.errors import UserError

__all__ = ["TransientError", "call_with_retries", "join_lines"]

# Wait before the first retry; it doubles with each further retry.
_FIRST_WAIT_S = 0.2


class TransientError(Exception):
    """A failure after which it makes sense to try again."""


def call_with_retries(
    call: Callable[[float], Any], server: str, deadline: float, retries: int
) -> Any:
    """Returns what `call` returns; repeats it after each `TransientError`.

    Args:
        call: sends the request; its argument is the time left in seconds.
        server: the server's name for error messages.
        deadline: time on the clock of `time.monotonic()`.
        retries: the most repetitions.

    Raises:
        UserError: the last try has failed, or there is no time for another one.
    """
    start = time.monotonic()
    for attempt in range(retries + 1):
        try:
            return call(max(deadline - time.monotonic(), 0.001))
        except TransientError as failure:
            wait_s = _FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.0)
            if attempt == retries or time.monotonic() + wait_s >= deadline:
                raise UserError(
                    f"{server}: {join_lines(failure)} ({attempt + 1} tries in "
                    f"{time.monotonic() - start:.1f} s); is it "
                    "running, and is --timeout_s long enough?"
                ) from None
            time.sleep(wait_s)


def join_lines(message: Any) -> str:
    """A message without its line breaks."""
    return " ".join(str(message).split())
