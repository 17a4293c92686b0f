"""Blocks whose activations are recomputed for the gradient instead of kept."""

import contextlib
import itertools

import keras
from keras import layers

__all__ = ["Block", "rematerialize"]


class Block(layers.Layer):
    """A layer of one tensor that can be rematerialized, see `rematerialize`.

    Keras' own `RematScope` passes keyword arguments (`training`) on, which TensorFlow
    refuses in graphs, and rematerializes each layer in a layer separately. Under
    `keras.remat` alone, batch norms would move their averages twice a step.
    """

    remat = False

    def __call__(self, *args, **kwargs):
        """As any layer; with `remat` and `training=True` it keeps only its input."""
        if not (self.remat and kwargs.get("training")):
            return super().__call__(*args, **kwargs)
        runs = itertools.count()

        def call(x):
            scope = contextlib.nullcontext()
            if next(runs):
                # The run for the gradient must not assign to variables, nor
                # initialize variables that other code has left without values.
                scope = keras.StatelessScope(initialize_variables=False)
            with scope:
                return super(Block, self).__call__(x, training=True)

        return keras.remat(call)(*args)


def rematerialize(model: keras.Model) -> None:
    """Makes the model's blocks keep only their inputs for gradients from now on."""
    for layer in model._flatten_layers():
        if isinstance(layer, Block):
            layer.remat = True
