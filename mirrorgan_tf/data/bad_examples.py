"""Handles images that can't be read, as `--on_bad_example` says.

The pipeline reports each of them to `BadExamples`. "fail" stops at the first one;
"skip" logs its name once and continues, until more than 1 % of the images are bad.
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

__all__ = ["BadExamples", "are_too_many", "data_errors", "first_success"]

_MOST_BAD_SHARE = 0.01
_SAMPLE = 200
_THREADS = 16


def are_too_many(bad: int, images: int) -> bool:
    """Whether a training that skips bad images stops at this number of them."""
    return bad > _MOST_BAD_SHARE * images


class BadExamples:
    """The bad images of one index. Each is logged once; threads may share the object.

    Args:
        index: the images.
        policy: "fail" or "skip".

    Attributes:
        rows: rows of the index whose images are bad, so far.
    """

    def __init__(self, index: CaptionedImages, policy: str = "fail"):
        if policy not in ("fail", "skip"):
            raise ValueError(f"policy={policy!r}; expected 'fail' or 'skip'")
        self.index = index
        self.policy = policy
        self.rows: set[int] = set()
        self._lock = threading.Lock()

    def check(self, sample: int = _SAMPLE) -> None:
        """Checks before a training that no file is empty and a sample can be decoded.

        It takes about a second for COCO; `mirrorgan check` decodes all images.

        Raises:
            UserError: an image is bad and the policy is "fail", or too many are bad.
        """
        count = len(self.index)
        rows = np.unique(np.linspace(0, count - 1, min(sample, count)).astype(int))
        empty = []
        if self.index.offsets is None:
            sizes = np.array(file_sizes(self.index.paths))
            empty = np.flatnonzero(sizes == 0).tolist()
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            problems = pool.map(self._find_problem, rows)
            failed = [row for row, text in zip(rows, problems, strict=True) if text]
        for row in sorted({*empty, *failed}):
            self.report([row])

    def report(self, rows: Sequence[int], *, exhausted: bool = False) -> None:
        """Reports images that could not be read.

        Args:
            rows: rows of the index, in the order in which they were tried.
            exhausted: whether no other image will be tried in their place.

        Raises:
            UserError: the policy is "fail", or too many images are bad.
        """
        for row in map(int, rows):
            with self._lock:
                is_known = row in self.rows
                self.rows.add(row)
            if is_known and self.policy == "skip":
                continue
            text = self._describe(row)
            if self.policy == "fail":
                raise UserError(f"{text}; replace it, or give --on_bad_example=skip")
            logging.warning("bad image left out, %d so far: %s", len(self.rows), text)
            if are_too_many(len(self.rows), len(self.index)):
                raise UserError(
                    f"{len(self.rows)} of {len(self.index)} images are bad, more than "
                    f"{_MOST_BAD_SHARE:.0%}; the last one: {text}"
                )
        if exhausted:
            raise UserError(
                f"{len(rows)} images in a row are bad; the last one: "
                f"{self._describe(int(rows[-1]))}"
            )

    def report_in_graph(self, rows: tf.Tensor, *, exhausted: tf.Tensor | bool) -> None:
        """`report` for a graph of tf.data; does nothing if `rows` (n,) is empty."""

        def report(rows, exhausted):
            self.report(rows, exhausted=exhausted)
            return np.int32(0)

        tf.cond(
            tf.size(rows) > 0,
            lambda: tf.numpy_function(report, [rows, exhausted], tf.int32),
            lambda: 0,
        )

    def _describe(self, row):
        problem = self._find_problem(row) or "could not be decoded a moment ago"
        return f"{self.index.name(row)}: {problem}"

    def _find_problem(self, row):
        """Why an image can't be read; None if it can."""
        try:
            load_image(self.index, row)
        except BadImageError as error:
            return str(error)
        return None


def first_success(
    load: Callable[[tf.Tensor], Any], attempts: int, default: Any
) -> tuple[tf.Tensor, Any]:
    """Calls a function that may raise an error until it succeeds.

    For the graph of a `Dataset.map`, in which nothing else catches errors.

    Args:
        load: from () int64, the number of the attempt, to tensors.
        attempts: the most calls.
        default: the result if all attempts fail.

    Returns:
        The number of failed attempts, () int64, and the result.
    """
    results = tf.data.Dataset.range(attempts).map(lambda number: (number, load(number)))
    last = tf.data.Dataset.from_tensors((tf.constant(attempts, tf.int64), default))
    return results.ignore_errors().concatenate(last).take(1).get_single_element()


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Turns a `UserError` that tf.data has wrapped back into a `UserError`."""
    try:
        yield
    except tf.errors.OpError as error:
        match = re.search(rf"^.*{UserError.__name__}: (.*)$", error.message, re.M)
        if match is None:
            raise
        raise UserError(match[1]) from None
