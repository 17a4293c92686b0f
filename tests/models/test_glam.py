import math

import numpy as np
import pytest

from mirrorgan_tf.models.attention import padding_mask_from_lengths
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from tests.conftest import shapes_alone

L, D, Z, C = 5, 6, 3, 4


def _inputs(batch, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in {
            "words": (batch, L, D),
            "sentence": (batch, D),
            "noise": (batch, Z),
            "condition_noise": (batch, C),
        }.items()
    }


def _glam(**kwargs):
    settings = {
        "base_size": 16,
        "stages": 2,
        "width": 2,
        "residual_blocks": 1,
        "noise_dim": Z,
        "condition_dim": C,
    }
    return Glam(**(settings | kwargs))


@pytest.mark.parametrize("base_size", [16, 32, 64])
@pytest.mark.parametrize("stages", [1, 2])
def test_sizes(base_size, stages):
    glam = _glam(base_size=base_size, stages=stages)
    made = glam(**_inputs(2))
    assert glam.sizes == tuple(base_size * 2**i for i in range(stages))
    assert [images.shape for images in made["images"]] == [
        (2, size, size, 3) for size in glam.sizes
    ]
    assert [maps.shape for maps in made["word_attention"]] == [
        (2, size, size, L) for size in glam.sizes[:-1]
    ]
    assert all(np.abs(images).max() <= 1 for images in made["images"])


@pytest.mark.parametrize("stages", [3, 4])
def test_longer_cascades(stages):
    made = _glam(stages=stages, residual_blocks=0)(**_inputs(1))
    size = 16 * 2 ** (stages - 1)
    assert made["images"][-1].shape == (1, size, size, 3)


@pytest.mark.parametrize("word_attention", [True, False])
@pytest.mark.parametrize("sentence_attention", [True, False])
def test_ablations(word_attention, sentence_attention):
    glam = _glam(word_attention=word_attention, sentence_attention=sentence_attention)
    inputs = _inputs(2)
    made = glam(**inputs)
    assert len(made["word_attention"]) == word_attention
    assert len(made["sentence_attention"]) == sentence_attention
    # Only attention lets words touch the image.
    inputs["words"] = inputs["words"][:, ::-1] * 3.0
    changed = np.abs(glam(**inputs)["images"][-1] - made["images"][-1]).max() > 1e-4
    assert changed == word_attention


def test_a_row_does_not_depend_on_its_batch():
    glam = _glam()
    inputs = _inputs(4)
    lengths = np.array([5, 1, 0, 3], np.int32)
    mask = padding_mask_from_lengths(lengths, L).numpy()
    together = glam(**inputs, padding_mask=mask)["images"][-1].numpy()
    for row, length in enumerate(lengths):
        alone = {name: array[row : row + 1] for name, array in inputs.items()}
        image = glam(**alone, padding_mask=mask[row : row + 1])["images"][-1]
        np.testing.assert_allclose(together[row : row + 1], image, atol=1e-5)
        # What stands in padding does not matter, nor how wide it is.
        if length:
            alone["words"] = alone["words"][:, :length]
            image = glam(**alone)["images"][-1]
            np.testing.assert_allclose(together[row : row + 1], image, atol=1e-5)


def test_empty_captions_are_finite_and_so_are_their_gradients():
    tf = pytest.importorskip("tensorflow")
    glam = _glam()
    inputs = _inputs(2)
    inputs["words"] *= 0
    inputs["sentence"] *= 0
    with tf.GradientTape() as tape:
        made = glam(**inputs, padding_mask=np.ones((2, L), bool), training=True)
        loss = tf.reduce_sum(tf.square(made["images"][-1]))
    for gradient in tape.gradient(loss, glam.trainable_variables):
        assert gradient is None or np.isfinite(gradient).all()
    assert np.isfinite(made["images"][-1]).all()


def test_condition_is_mean_plus_noise_times_deviation():
    glam = _glam(stages=1)
    inputs = _inputs(2)
    made = glam(**inputs)
    expected = made["mu"] + np.exp(0.5 * made["log_var"]) * inputs["condition_noise"]
    np.testing.assert_allclose(made["s_ca"], expected, rtol=1e-5)


def test_one_trace_serves_every_batch_size():
    tf = pytest.importorskip("tensorflow")
    glam = _glam()
    inputs = _inputs(3)
    expected = glam(**inputs)["images"][-1]

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *array.shape[1:])) for array in inputs.values()
        ]
    )
    def draw(*arrays):
        return glam(**dict(zip(inputs, arrays, strict=True)))["images"][-1]

    np.testing.assert_allclose(draw(*inputs.values()), expected, atol=1e-5)
    one = (array[:1] for array in inputs.values())
    np.testing.assert_allclose(draw(*one), expected[:1], atol=1e-5)


@pytest.mark.parametrize("wrong", [{"base_size": 48}, {"base_size": 4}, {"stages": 0}])
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _glam(**wrong)


def test_parameters_at_paper_size():
    # Shapes are enough: nothing is initialised in this scope.
    with shapes_alone():
        glam = Glam()
        glam.build((None, 18, 256), (None, 256))
        networks = [glam]
        for size in glam.sizes:
            networks.append(Discriminator(size))
            networks[-1].build((None, size, size, 3), (None, 256))
        counts = [
            sum(math.prod(variable.shape) for variable in network.trainable_variables)
            for network in networks
        ]
    assert counts == [7_105_392, 6_313_730, 19_424_002, 71_858_946]
