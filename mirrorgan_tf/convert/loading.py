"""Loads the original's parameters into our models."""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mirrorgan_tf.convert.layouts import Entry
from mirrorgan_tf.convert.names import pytorch_entries
from mirrorgan_tf.errors import UserError

__all__ = ["load_entries", "load_pytorch_state"]

# PyTorch's batch norms count batches, and torchvision's networks may include their
# classifiers; neither has an effect on outputs.
_IGNORED = re.compile(r"(.*\.)?num_batches_tracked|(AuxLogits|fc)\..*")
# An error lists so many names of a kind and counts the rest.
_LISTED_NAMES = 5


def load_pytorch_state(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Sets every variable of a model from the original's state.

    Nothing is changed unless everything fits.

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
    """As `load_pytorch_state`, for the variables that `entries` lists.

    Args:
        entries: of all variables of a network.
        state: their name to array, in their layouts.
        name: of the network, for errors.

    Raises:
        UserError: see `load_pytorch_state`.
    """
    expected = {}
    for entry in entries:
        expected |= entry.their_shapes()
    arrays = {name: a for name, a in state.items() if not _IGNORED.fullmatch(name)}
    problems = _describe_misfits(expected, arrays)
    if problems:
        raise UserError(f"the parameters do not fit {name}: {'; '.join(problems)}")
    for entry in entries:
        tensors = (np.asarray(arrays[name]) for name in entry.names)
        entry.variable.assign(entry.to_ours(*tensors))


def _describe_misfits(expected, arrays):
    missing = [name for name in expected if name not in arrays]
    unknown = [name for name in arrays if name not in expected]
    misshapen = [
        f"{name} {np.shape(arrays[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in arrays and tuple(np.shape(arrays[name])) != tuple(shape)
    ]
    return [
        f"{kind}: {_enumerate(names)}"
        for kind, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("wrong shape", misshapen),
        )
        if names
    ]


def _enumerate(names):
    more = (
        f" and {len(names) - _LISTED_NAMES} more" if len(names) > _LISTED_NAMES else ""
    )
    return ", ".join(names[:_LISTED_NAMES]) + more
