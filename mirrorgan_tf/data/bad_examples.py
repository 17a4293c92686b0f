"""Images that can't be read, and what is done about them: `--on_bad_example`.

The pipeline reports every image that fails to `BadExamples`. "fail" stops at the first;
"skip" logs its name once and goes on, until more than 1 % of the images are bad.
"""

import concurrent.futures
import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from mirrorgan_tf.data.decoding import BadImageError, load_image
from mirrorgan_tf.data.leaks import file_sizes
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.errors import UserError

__all__ = ["BadExamples", "are_too_many", "data_errors", "first_good"]

_MOST_BAD = 0.01
_SAMPLE = 200
_THREADS = 16


def are_too_many(bad: int, images: int) -> bool:
    """Whether a training that skips bad images stops at so many of them."""
    return bad > _MOST_BAD * images


class BadExamples:
    """The bad images of one index, each named once; safe for threads.

    Args:
        index: of the images.
        policy: "fail" or "skip".

    Attributes:
        rows: the bad ones so far.
    """

    def __init__(self, index: CaptionedImages, policy: str = "fail"):
        if policy not in ("fail", "skip"):
            raise ValueError(f"policy={policy!r}; expected 'fail' or 'skip'")
        self.index = index
        self.policy = policy
        self.rows: set[int] = set()
        self._lock = threading.Lock()

    def check(self, sample: int = _SAMPLE) -> None:
        """Checks before a long run that no file is empty and a sample can be decoded.

        It takes about a second for COCO; `mirrorgan_tf.check` decodes everything.

        Raises:
            UserError: an image is bad and the policy is to fail, or too many are.
        """
        count = len(self.index)
        rows = np.unique(np.linspace(0, count - 1, min(sample, count)).astype(int))
        empty = []
        if self.index.offsets is None:
            sizes = np.array(file_sizes(self.index.paths))
            empty = np.flatnonzero(sizes == 0).tolist()
        sampled = [row for row in rows.tolist() if row not in set(empty)]
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            reasons = pool.map(lambda row: _why_bad(self.index, row), sampled)
            failed = [row for row, why in zip(sampled, reasons, strict=True) if why]
        for row in sorted(empty + failed):
            self.report([row])

    def report(self, rows: Sequence[int], *, exhausted: bool = False) -> None:
        """Reports images that failed.

        Args:
            rows: of the index, in the order in which they were tried.
            exhausted: no other is tried in their place.

        Raises:
            UserError: the policy is to fail, or too many are bad.
        """
        for row in map(int, rows):
            with self._lock:
                known = row in self.rows
                self.rows.add(row)
            if known and self.policy == "skip":
                continue
            text = f"{self.index.name(row)}: {self._why(row)}"
            if self.policy == "fail":
                raise UserError(f"{text}; replace it, or give --on_bad_example=skip")
            logging.warning("bad image left out, %d so far: %s", len(self.rows), text)
            if are_too_many(len(self.rows), len(self.index)):
                raise UserError(
                    f"{len(self.rows)} of {len(self.index)} images are bad, more than "
                    f"{_MOST_BAD:.0%}; the last one: {text}"
                )
        if exhausted:
            row = int(rows[-1])
            raise UserError(
                f"{len(rows)} images in a row are bad; the last one: "
                f"{self.index.name(row)}: {self._why(row)}"
            )

    def report_in_graph(self, rows: tf.Tensor, *, exhausted: tf.Tensor) -> None:
        """`report` for a tf.data graph; does nothing where `rows` (n,) is empty."""

        def report(rows, exhausted):
            self.report(rows, exhausted=exhausted)
            return np.int32(0)

        tf.cond(
            tf.size(rows) > 0,
            lambda: tf.numpy_function(report, [rows, exhausted], tf.int32),
            lambda: 0,
        )

    def _why(self, row):
        return _why_bad(self.index, row) or "could not be decoded a moment ago"


def first_good(
    load: Callable[[tf.Tensor], Any], attempts: int, otherwise: Any
) -> tuple[tf.Tensor, Any]:
    """Tries in the graph of a `Dataset.map` what may raise an error.

    Args:
        load: from () int64, the number of the attempt, to tensors.
        attempts: how often to try.
        otherwise: stands for the result where all attempts fail.

    Returns:
        The number of the attempt, `attempts` where all failed, and its result.
    """
    tries = tf.data.Dataset.range(attempts).map(lambda number: (number, load(number)))
    last = tf.data.Dataset.from_tensors((tf.constant(attempts, tf.int64), otherwise))
    return tries.ignore_errors().concatenate(last).take(1).get_single_element()


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Turns what the pipeline raised inside tf.data back into a `UserError`."""
    try:
        yield
    except tf.errors.OpError as error:
        match = re.search(rf"^.*{UserError.__name__}: (.*)$", error.message, re.M)
        if match is None:
            raise
        raise UserError(match[1]) from None


def _why_bad(index: CaptionedImages, row: int) -> str | None:
    """What is wrong with an image; None if nothing is."""
    try:
        load_image(index, row)
    except BadImageError as error:
        return str(error)
    return None
