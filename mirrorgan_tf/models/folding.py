"""Folds the batch norms of a trained generator into the layers before them."""

from collections.abc import Iterator

import numpy as np
from keras import layers

from mirrorgan_tf.models.glam import Glam

__all__ = ["fold_batch_norm"]


def fold_batch_norm(glam: Glam, dtype: str = "float32") -> Glam:
    """Builds a generator for inference: the same images with less work.

    γ (W x - mean) / sqrt(variance + ε) + β equals W' x + b.

    Args:
        glam: built, with batch norms; it is not changed.
        dtype: dtype policy of the result. Attention's softmax, the condition and the
            images are float32 under any policy.

    Returns:
        A built `Glam` with normalization=False.
    """
    config = glam.get_config() | {"normalization": False, "dtype": dtype}
    folded = Glam.from_config(config)
    words_dim = glam.conditioning.dense.kernel.shape[0]
    folded.build((None, None, words_dim), (None, words_dim))
    pairs = zip(_linear_layers(glam), _linear_layers(folded), strict=True)
    for (source, norm), (target, _) in pairs:
        target.set_weights(_folded_weights(source, norm))
    return folded


def _linear_layers(glam: Glam) -> Iterator[tuple[layers.Layer, layers.Layer | None]]:
    """Yields every layer with a kernel and the batch norm after it, if any."""
    yield glam.conditioning.dense, None
    yield glam.first_stage.dense, glam.first_stage.norm
    for block in glam.first_stage.up_blocks:
        yield block.conv, block.norm
    for stage in glam.later_stages:
        if stage.words:
            yield stage.words.projection, None
        if stage.sentence:
            yield stage.sentence.projection, None
            yield stage.sentence.mixing, None
        if stage.narrowing:
            yield stage.narrowing, None
        for block in stage.residual_blocks:
            yield block.conv1, block.norm1
            yield block.conv2, block.norm2
        yield stage.up_block.conv, stage.up_block.norm
    for head in glam.image_heads:
        yield head.conv, None


def _folded_weights(layer, norm):
    """Kernel and bias of a layer and its norm together."""
    weights = layer.get_weights()
    if norm is None:
        return weights
    (kernel,) = (weight.astype(np.float64) for weight in weights)
    gamma, beta, mean, variance = (
        np.asarray(variable, np.float64)
        for variable in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * scale, beta - mean * scale]
