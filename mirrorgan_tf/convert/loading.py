"""Loads the original's parameters into our models."""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mirrorgan_tf.convert.layouts import Entry
from mirrorgan_tf.convert.names import pytorch_entries
from mirrorgan_tf.errors import UserError

__all__ = ["load_entries", "load_pytorch_state"]

# Batch counters of PyTorch's batch norms and classifiers of torchvision's networks,
# which do not affect the outputs.
_IGNORED = re.compile(r"(.*\.)?num_batches_tracked|(AuxLogits|fc)\..*")
# An error lists so many names of a kind and counts the rest.
_LISTED_NAMES = 5


def load_pytorch_state(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Sets every variable of a model from the original's state.

    If a parameter does not fit, no variable is changed.

    Args:
        model: built, of a kind that `pytorch_entries` knows.
        state: arrays by the original's names, in its layouts.

    Raises:
        UserError: parameters are missing, unknown or of the wrong shape; the error
            lists the first of each kind.
        TypeError: see `pytorch_entries`.
    """
    load_entries(pytorch_entries(model), state, type(model).__name__)


def load_entries(
    entries: Sequence[Entry], state: Mapping[str, np.ndarray], name: str
) -> None:
    """Sets the variables of `entries`; see `load_pytorch_state`.

    Args:
        entries: of all variables of a network.
        state: arrays by the original's names, in its layouts.
        name: the network's name, for errors.

    Raises:
        UserError: see `load_pytorch_state`.
    """
    expected = {}
    for entry in entries:
        expected |= entry.their_shapes()
    arrays = {name: a for name, a in state.items() if not _IGNORED.fullmatch(name)}
    problems = _find_problems(expected, arrays)
    if problems:
        raise UserError(f"the parameters do not fit {name}: {'; '.join(problems)}")
    for entry in entries:
        tensors = (np.asarray(arrays[name]) for name in entry.names)
        entry.variable.assign(entry.to_ours(*tensors))


def _find_problems(expected, arrays):
    missing = [name for name in expected if name not in arrays]
    unknown = [name for name in arrays if name not in expected]
    misshapen = [
        f"{name} {np.shape(arrays[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in arrays and tuple(np.shape(arrays[name])) != tuple(shape)
    ]
    problems = []
    for kind, names in (
        ("missing", missing),
        ("unknown", unknown),
        ("wrong shape", misshapen),
    ):
        if names:
            more = len(names) - _LISTED_NAMES
            end = f" and {more} more" if more > 0 else ""
            problems.append(f"{kind}: {', '.join(names[:_LISTED_NAMES])}{end}")
    return problems
