"""Blocks whose activations are not kept for the gradient, but made again."""

import contextlib
import itertools

import keras
from keras import layers

__all__ = ["Block", "rematerialize"]


class Block(layers.Layer):
    """A layer of one tensor that may be rematerialized, see `rematerialize`.

    Keras' own `RematScope` hands keyword arguments (`training`) on, which TensorFlow
    refuses in graphs, and makes the layers in a layer again each on its own. Under
    `keras.remat` alone, batch norms would move their averages twice a step.
    """

    remat = False

    def __call__(self, *args, **kwargs):
        """As any layer; with `remat` and `training=True` only the input is kept."""
        if not (self.remat and kwargs.get("training")):
            return super().__call__(*args, **kwargs)
        runs = itertools.count()

        def call(x):
            scope = contextlib.nullcontext()
            if next(runs):
                # What the gradient's run assigns to variables is dropped. Those that
                # others have left without values are not its to initialize.
                scope = keras.StatelessScope(initialize_variables=False)
            with scope:
                return super(Block, self).__call__(x, training=True)

        return keras.remat(call)(*args)


def rematerialize(model: keras.Model) -> None:
    """From now on the model's blocks keep only their inputs for gradients."""
    for layer in model._flatten_layers():
        if isinstance(layer, Block):
            layer.remat = True
