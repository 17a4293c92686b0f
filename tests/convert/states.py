"""States of our networks as the original would save them."""

import keras

from mirrorgan_tf.convert.names import pytorch_entries


def pytorch_state(model):
    """A model's variables by the original's names, in its layouts."""
    state = {}
    for entry in pytorch_entries(model):
        ours = keras.ops.convert_to_numpy(entry.variable)
        state |= zip(entry.names, entry.to_theirs(ours), strict=True)
    return state
