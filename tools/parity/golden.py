"""A folder of golden tensors: reading it, and what of it was compared."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from mirrorgan_tf.convert.npz import read_npz
from mirrorgan_tf.terminal import one_line

__all__ = ["GoldenFile", "Line", "MissingGoldenError", "Report"]

_PARAMETER = "param/"
# Of their largest number; rounding in batch statistics stays far below.
_LARGEST_ELEMENT = 1e-2


class MissingGoldenError(Exception):
    """A tensor or a file that a quantity needs is not in the folder."""


class GoldenFile:
    """The arrays of one .npz file; remembers which were asked for.

    Args:
        path: of the file.

    Raises:
        UserError: the file cannot be read.
    """

    def __init__(self, path: Path):
        self.name = path.stem
        self._arrays = read_npz(path)
        self._taken = set()

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def keys(self, pattern: str = "") -> list[str]:
        """Keys that match a regular expression from their beginning."""
        return [key for key in self._arrays if re.match(pattern, key)]

    def take(self, key: str) -> np.ndarray:
        """An array, float32 if it holds floats, and notes that it was used.

        Raises:
            MissingGoldenError: the file has no such array.
        """
        if key not in self._arrays:
            raise MissingGoldenError(f"{self.name}.npz has no {key}")
        self._taken.add(key)
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

    def untaken(self) -> list[str]:
        """Keys that nothing asked for."""
        return [key for key in self._arrays if key not in self._taken]


@dataclasses.dataclass(frozen=True)
class Line:
    """One quantity: its relative error and the largest to pass."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is small enough."""
        return bool(self.error <= self.tolerance)


class Report:
    """Prints a line for each quantity; counts failures and gaps."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.gaps: list[str] = []

    @property
    def failures(self) -> list[str]:
        """Names of the quantities that don't agree."""
        return [line.name for line in self.lines if not line.passed]

    @property
    def passed(self) -> bool:
        """Whether everything was compared and agreed."""
        return bool(self.lines) and not self.failures and not self.gaps

    def compare(self, name: str, ours, theirs, tolerance: float) -> None:
        """Compares floats.

        The error is the norm of the difference over the norm of theirs. Where a
        single element is off by more than a hundredth of their largest, it is that
        element's: a few wrong ones don't hide in a big tensor.

        Args:
            name: of the quantity.
            ours: array.
            theirs: array of the same shape.
            tolerance: largest error to pass.
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
                if largest > _LARGEST_ELEMENT:
                    error = max(error, largest)
        self._line(name, error, tolerance)

    def compare_exactly(self, name: str, ours, theirs) -> None:
        """Compares sequences of anything; the error is the share that differs."""
        ours, theirs = list(ours), list(theirs)
        if len(ours) != len(theirs):
            self._line(name, np.inf, 0, f"{len(ours)} of them, theirs {len(theirs)}")
            return
        wrong = [
            i
            for i, pair in enumerate(zip(ours, theirs, strict=True))
            if pair[0] != pair[1]
        ]
        note = f"first at {wrong[0]}" if wrong else ""
        self._line(name, len(wrong) / max(len(ours), 1), 0, note)

    def gap(self, text: str) -> None:
        """Notes something that was not compared, with the reason."""
        self.gaps.append(text)
        print(f"NOT COMPARED  {one_line(text)}")

    def _line(self, name, error, tolerance, note=""):
        line = Line(name, float(error), tolerance)
        self.lines.append(line)
        verdict = "ok" if line.passed else "FAIL"
        note = f"  ({note})" if note else ""
        print(f"{name:<58} {error:9.2e}  {tolerance:7.0e}  {verdict}{note}")
