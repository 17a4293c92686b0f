"""Reads golden tensors, and records which of them were compared."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from mirrorgan_tf.convert.npz import read_npz
from mirrorgan_tf.terminal import one_line

__all__ = ["GoldenFile", "Line", "MissingGoldenError", "Report"]

_PARAMETER = "param/"
# Relative to the largest element; rounding in batch statistics stays far below.
_LARGEST_ELEMENT_ERROR = 1e-2


class MissingGoldenError(Exception):
    """A tensor or file that a quantity needs is missing."""


class GoldenFile:
    """The arrays of one .npz file; records which of them were used.

    Args:
        path: the file.

    Raises:
        UserError: the file cannot be read.
    """

    def __init__(self, path: Path):
        self.name = path.stem
        self._arrays = read_npz(path)
        self._used = set()

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def keys(self, pattern: str = "") -> list[str]:
        """Keys that match a regular expression from their beginning."""
        return [key for key in self._arrays if re.match(pattern, key)]

    def take(self, key: str) -> np.ndarray:
        """Returns an array, floats as float32, and records its use.

        Raises:
            MissingGoldenError: the file has no such array.
        """
        if key not in self._arrays:
            raise MissingGoldenError(f"{self.name}.npz has no {key}")
        self._used.add(key)
        array = self._arrays[key]
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def take_state(self, prefix: str = "") -> dict[str, np.ndarray]:
        """All parameters under `<prefix>param/`, by their names."""
        start = prefix + _PARAMETER
        return {
            key.removeprefix(start): self.take(key)
            for key in self._arrays
            if key.startswith(start)
        }

    def unused(self) -> list[str]:
        """Keys of the arrays that no check used."""
        return [key for key in self._arrays if key not in self._used]


@dataclasses.dataclass(frozen=True)
class Line:
    """One quantity with its relative error and the tolerance."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return bool(self.error <= self.tolerance)


class Report:
    """Prints a line per quantity; collects failures and gaps."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.gaps: list[str] = []

    @property
    def failures(self) -> list[str]:
        """Names of the quantities beyond their tolerances."""
        return [line.name for line in self.lines if not line.passed]

    @property
    def passed(self) -> bool:
        """Whether everything was compared and is within its tolerance."""
        return bool(self.lines) and not self.failures and not self.gaps

    def compare(self, name: str, ours, theirs, tolerance: float) -> None:
        """Compares floats.

        The error is the norm of the difference divided by the norm of theirs. If one
        element differs by more than a hundredth of their largest element, it is the
        error of that element: large tensors must not hide a few wrong elements.

        Args:
            name: name of the quantity.
            ours: array of this package.
            theirs: array of the original, of the same shape.
            tolerance: largest error that passes.
        """
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if ours.shape != theirs.shape:
            note = f"shape {ours.shape}, theirs {theirs.shape}"
            self._line(name, np.inf, tolerance, note)
            return
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            self._line(name, np.inf, tolerance, "not finite")
            return
        difference = np.abs(ours - theirs)
        error = 0.0
        if difference.any():
            with np.errstate(divide="ignore"):
                error = np.linalg.norm(difference) / np.linalg.norm(theirs)
                largest = difference.max() / np.abs(theirs).max()
                if largest > _LARGEST_ELEMENT_ERROR:
                    error = max(error, largest)
        self._line(name, error, tolerance)

    def compare_exactly(self, name: str, ours, theirs) -> None:
        """Compares sequences; the error is the share of elements that differ."""
        ours, theirs = list(ours), list(theirs)
        if len(ours) != len(theirs):
            self._line(name, np.inf, 0, f"{len(ours)} elements, theirs {len(theirs)}")
            return
        different = [
            i
            for i, pair in enumerate(zip(ours, theirs, strict=True))
            if pair[0] != pair[1]
        ]
        note = f"first at {different[0]}" if different else ""
        self._line(name, len(different) / max(len(ours), 1), 0, note)

    def gap(self, text: str) -> None:
        """Records something that was not compared, with the reason."""
        self.gaps.append(text)
        print(f"NOT COMPARED  {one_line(text)}")

    def _line(self, name, error, tolerance, note=""):
        line = Line(name, float(error), tolerance)
        self.lines.append(line)
        result = "ok" if line.passed else "FAIL"
        note = f"  ({note})" if note else ""
        print(f"{name:<58} {error:9.2e}  {tolerance:7.0e}  {result}{note}")
