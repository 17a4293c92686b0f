import itertools

import keras
import numpy as np
import pytest

from mirrorgan_tf.models.batch_norm import BatchNormalization
from mirrorgan_tf.models.folding import fold_batch_norm
from mirrorgan_tf.models.glam import Glam
from tests.conftest import normal

INPUTS = (
    normal(3, 5, 6, seed=1),
    normal(3, 6, seed=2),
    normal(3, 7, seed=3),
    normal(3, 9, seed=4),
)


def trained(**settings):
    """A generator with batch norms far from their initial values."""
    settings = {"stages": 2, "width": 4, "residual_blocks": 1} | settings
    glam = Glam(base_size=8, noise_dim=7, condition_dim=9, **settings)
    glam(*INPUTS)
    random = np.random.default_rng(0)
    for layer in glam._flatten_layers():
        if isinstance(layer, BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(random.normal(1, 0.3, size))
            layer.beta.assign(random.normal(0, 0.3, size))
            layer.moving_mean.assign(random.normal(0, 0.5, size))
            layer.moving_variance.assign(random.uniform(0.3, 2, size))
    return glam


@pytest.mark.parametrize(
    "stages, word_attention, sentence_attention",
    [(1, True, True), *itertools.product([2], [True, False], [True, False])],
)
def test_folding_keeps_images_attention_and_the_original_weights(
    stages, word_attention, sentence_attention
):
    glam = trained(
        stages=stages,
        word_attention=word_attention,
        sentence_attention=sentence_attention,
    )
    before = glam.get_weights()
    folded = fold_batch_norm(glam)
    assert not any(isinstance(x, BatchNormalization) for x in folded._flatten_layers())
    outputs, expected = folded(*INPUTS), glam(*INPUTS)
    for name in ("images", "word_attention", "sentence_attention"):
        for value, expected_value in zip(outputs[name], expected[name], strict=True):
            np.testing.assert_allclose(value, expected_value, atol=2e-5)
    for weight, new in zip(before, glam.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, new)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16"])
def test_folded_generator_in_half_precision_is_close_to_float32(dtype):
    glam = trained()
    folded = fold_batch_norm(glam, dtype)
    outputs, expected = folded(*INPUTS), glam(*INPUTS)
    for value, expected_value in zip(
        outputs["images"], expected["images"], strict=True
    ):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        difference = np.abs(np.asarray(value) - np.asarray(expected_value))
        assert 0 < difference.mean() < 0.05
