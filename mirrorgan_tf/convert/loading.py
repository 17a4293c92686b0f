"""Their parameters into our models, and the way back."""

import re
from collections.abc import Mapping

import keras
import numpy as np

from mirrorgan_tf.convert.names import pytorch_entries
from mirrorgan_tf.errors import UserError

__all__ = ["load_pytorch_state", "pytorch_state"]

# PyTorch counts the batches a batch norm has seen, and torchvision's networks may have
# their classifiers; nothing depends on either.
_IGNORED = re.compile(r"(.*\.)?num_batches_tracked|(AuxLogits|fc)\..*")
# Names of a kind that an error gives; the rest it counts.
_NAMED = 5


def load_pytorch_state(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Sets every variable of a model from the original's state.

    Nothing is changed unless everything fits.

    Args:
        model: built, of a kind that `pytorch_entries` knows.
        state: their name to array, in their layouts.

    Raises:
        UserError: entries are missing, unknown or of the wrong shape; names the first
            of each, and counts them.
        TypeError: see `pytorch_entries`.
    """
    entries = pytorch_entries(model)
    expected = {}
    for entry in entries:
        expected |= entry.their_shapes()
    given = {name: a for name, a in state.items() if not _IGNORED.fullmatch(name)}
    problems = _describe_misfits(expected, given)
    if problems:
        raise UserError(
            f"the parameters do not fit {type(model).__name__}: {'; '.join(problems)}"
        )
    for entry in entries:
        arrays = (np.asarray(given[name]) for name in entry.names)
        entry.variable.assign(entry.to_ours(*arrays))


def pytorch_state(model: keras.Model) -> dict[str, np.ndarray]:
    """A model's variables by the original's names, in its layouts.

    `load_pytorch_state` of the result changes nothing.
    """
    state = {}
    for entry in pytorch_entries(model):
        ours = keras.ops.convert_to_numpy(entry.variable)
        state |= zip(entry.names, entry.to_theirs(ours), strict=True)
    return state


def _describe_misfits(expected, given):
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    misshapen = [
        f"{name} {np.shape(given[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in given and tuple(np.shape(given[name])) != tuple(shape)
    ]
    return [
        f"{kind}: {_enumerate(names)}"
        for kind, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("misshapen", misshapen),
        )
        if names
    ]


def _enumerate(names):
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
