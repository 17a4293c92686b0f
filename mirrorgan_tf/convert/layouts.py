"""Converts between the layouts of the original's tensors and of our variables."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

__all__ = [
    "Entry",
    "batch_norm_entries",
    "conv_entry",
    "dense_entries",
    "lstm_entries",
    "pointwise_entry",
    "same_entry",
]

Arrays = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One of our variables and the corresponding tensors of the original.

    Attributes:
        names: names in the original; two for an LSTM's biases, otherwise one.
        variable: our variable.
        to_ours: converts the original's arrays to ours. With one name it only permutes
            elements, which does not change norms.
        to_theirs: converts our array to the original's.
    """

    names: tuple[str, ...]
    variable: keras.Variable
    to_ours: Callable[..., np.ndarray]
    to_theirs: Callable[[np.ndarray], Arrays]

    def their_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the original's tensors by name."""
        ours = np.broadcast_to(np.float32(0), self.variable.shape)
        return {
            name: array.shape
            for name, array in zip(self.names, self.to_theirs(ours), strict=True)
        }


def same_entry(name: str, variable: keras.Variable) -> Entry:
    """A variable with the same layout in both."""
    return Entry((name,), variable, lambda array: array, lambda array: (array,))


def conv_entry(name: str, layer: keras.layers.Conv2D) -> Entry:
    """A kernel: (out, in, h, w) to (h, w, in, out)."""
    return Entry(
        (name,),
        layer.kernel,
        lambda array: array.transpose(2, 3, 1, 0),
        lambda array: (array.transpose(3, 2, 0, 1),),
    )


def dense_entries(prefix: str, layer: keras.layers.Dense) -> list[Entry]:
    """A dense layer: kernel (out, in) to (in, out), and bias if it has one."""
    kernel = Entry(
        (f"{prefix}.weight",),
        layer.kernel,
        lambda array: array.T,
        lambda array: (array.T,),
    )
    if not layer.use_bias:
        return [kernel]
    return [kernel, same_entry(f"{prefix}.bias", layer.bias)]


def pointwise_entry(name: str, layer: keras.layers.Dense) -> Entry:
    """A 1×1 convolution (out, in, 1, 1) that is a dense layer (in, out) in ours."""
    return Entry(
        (name,),
        layer.kernel,
        lambda array: array[:, :, 0, 0].T,
        lambda array: (array.T[:, :, None, None],),
    )


def batch_norm_entries(
    prefix: str,
    layer: keras.layers.BatchNormalization,
    reorder: tuple[Callable, Callable] | None = None,
) -> list[Entry]:
    """Scale, shift and running statistics.

    Args:
        prefix: name of the original's module.
        layer: our layer.
        reorder: functions that permute features from the original's order to ours, and
            back; None if the order is the same.
    """
    to_ours, to_theirs = reorder or (lambda array: array, lambda array: array)
    return [
        Entry(
            (f"{prefix}.{name}",),
            variable,
            to_ours,
            lambda array: (to_theirs(array),),
        )
        for name, variable in (
            ("weight", layer.gamma),
            ("bias", layer.beta),
            ("running_mean", layer.moving_mean),
            ("running_var", layer.moving_variance),
        )
    ]


def lstm_entries(prefix: str, suffix: str, layer: keras.layers.LSTM) -> list[Entry]:
    """An LSTM; both have the gates in the order input, forget, cell, output.

    PyTorch adds two biases; ours is their sum. In the other direction the second is 0.
    """
    cell = layer.cell
    return [
        Entry(
            (f"{prefix}.weight_{kind}_{suffix}",),
            variable,
            lambda array: array.T,
            lambda array: (array.T,),
        )
        for kind, variable in (("ih", cell.kernel), ("hh", cell.recurrent_kernel))
    ] + [
        Entry(
            (f"{prefix}.bias_ih_{suffix}", f"{prefix}.bias_hh_{suffix}"),
            cell.bias,
            lambda first, second: first + second,
            lambda array: (array, np.zeros_like(array)),
        )
    ]
