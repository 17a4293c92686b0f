"""Weights of one network for another of the same kind: `--init_from`."""

import re
from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np

__all__ = ["transfer_weights"]


def transfer_weights(
    network: keras.Model,
    source: keras.Model,
    *,
    words: Sequence[str] = (),
    source_words: Sequence[str] = (),
) -> tuple[int, int]:
    """Sets each weight for which the source has a weight of the same name and shape.

    Weights with one row for each word (embeddings, the output layer of STREAM) are set
    word by word; words that the source lacks keep their rows.

    Args:
        network: built; changed.
        source: built, of the same kind, perhaps of other sizes.
        words: of the network's vocabulary; id i + 1 is word i. Empty: it has none.
        source_words: of the source's vocabulary.

    Returns:
        The number of weights that were set at least in part, and of all weights.
    """
    source_weights = _by_name(source)
    source_ids = {word: i + 1 for i, word in enumerate(source_words)}
    # Pairs of ids of the same word; id 0 is padding, and the end of captions.
    pairs = [(0, 0)] + [
        (i + 1, source_ids[word]) for i, word in enumerate(words) if word in source_ids
    ]
    sizes = len(words) + 1, len(source_words) + 1
    taken, weights = 0, _by_name(network)
    for name, weight in weights.items():
        source_weight = source_weights.get(name)
        if source_weight is None:
            continue
        value = keras.ops.convert_to_numpy(source_weight)
        axis = _word_axis(weight.shape, value.shape, *sizes) if words else None
        if axis is not None:
            value = _rows_by_word(weight, value, axis, pairs)
        if value.shape == tuple(weight.shape):
            weight.assign(value)
            taken += 1
    return taken, len(weights)


def _by_name(network):
    """Weights by a name that does not depend on what was built before.

    Keras numbers the layers of a process (conv2d_7): these numbers are dropped, and
    weights of equal names are numbered in the order of the network.
    """
    counts, weights = Counter(), {}
    for weight in network.weights:
        name = re.sub(r"_\d+(?=/)", "", weight.path)
        weights[f"{name} {counts[name]}"] = weight
        counts[name] += 1
    return weights


def _word_axis(shape, source_shape, size, source_size):
    """The only axis along which a weight has a row for each word; else None."""
    if len(shape) != len(source_shape):
        return None
    axes = [
        axis
        for axis, lengths in enumerate(zip(shape, source_shape, strict=True))
        if lengths == (size, source_size)
    ]
    return axes[0] if len(axes) == 1 else None


def _rows_by_word(weight, source_value, axis, pairs):
    ids, source_ids = np.array(pairs).T
    value = np.moveaxis(keras.ops.convert_to_numpy(weight).copy(), axis, 0)
    source_value = np.moveaxis(source_value, axis, 0)
    if value.shape[1:] != source_value.shape[1:]:
        return source_value
    value[ids] = source_value[source_ids]
    return np.moveaxis(value, 0, axis)
