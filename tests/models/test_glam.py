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


@pytest.mark.parametrize("base_size, stages", [(16, 1), (32, 2), (64, 2), (16, 4)])
def test_images_and_attention_have_the_sizes_of_each_scale(base_size, stages):
    glam = _glam(base_size=base_size, stages=stages)
    outputs = glam(**_inputs(2))
    assert glam.sizes == tuple(base_size * 2**i for i in range(stages))
    assert [images.shape for images in outputs["images"]] == [
        (2, size, size, 3) for size in glam.sizes
    ]
    assert [maps.shape for maps in outputs["word_attention"]] == [
        (2, size, size, L) for size in glam.sizes[:-1]
    ]
    assert all(np.abs(images).max() <= 1 for images in outputs["images"])


def test_inner_width_applies_to_the_first_scale_but_for_its_last_layer():
    glam = _glam(base_size=32, inner_width=6)
    first_stage = glam.first_stage
    # 4×4, 8×8, 16×16 and 32×32 px.
    assert first_stage.channels == 6 * 8
    assert [block.channels for block in first_stage.up_blocks] == [24, 12, 2]
    images = glam(**_inputs(2))["images"]
    assert [image.shape for image in images] == [(2, 32, 32, 3), (2, 64, 64, 3)]


@pytest.mark.parametrize("word_attention", [True, False])
@pytest.mark.parametrize("sentence_attention", [True, False])
def test_words_change_the_image_only_through_word_attention(
    word_attention, sentence_attention
):
    glam = _glam(word_attention=word_attention, sentence_attention=sentence_attention)
    inputs = _inputs(2)
    outputs = glam(**inputs)
    assert len(outputs["word_attention"]) == word_attention
    assert len(outputs["sentence_attention"]) == sentence_attention
    inputs["words"] = inputs["words"][:, ::-1] * 3.0
    changed = np.abs(glam(**inputs)["images"][-1] - outputs["images"][-1]).max() > 1e-4
    assert changed == word_attention


def test_image_does_not_depend_on_the_rest_of_the_batch_or_on_padding():
    glam = _glam()
    inputs = _inputs(4)
    lengths = np.array([5, 1, 0, 3], np.int32)
    mask = padding_mask_from_lengths(lengths, L).numpy()
    together = glam(**inputs, padding_mask=mask)["images"][-1].numpy()
    for row, length in enumerate(lengths):
        alone = {name: array[row : row + 1] for name, array in inputs.items()}
        image = glam(**alone, padding_mask=mask[row : row + 1])["images"][-1]
        np.testing.assert_allclose(together[row : row + 1], image, atol=1e-5)
        # Neither the content nor the width of the padding matters.
        if length:
            alone["words"] = alone["words"][:, :length]
            image = glam(**alone)["images"][-1]
            np.testing.assert_allclose(together[row : row + 1], image, atol=1e-5)


def test_empty_captions_give_finite_images_and_gradients():
    tf = pytest.importorskip("tensorflow")
    glam = _glam()
    inputs = _inputs(2)
    inputs["words"] *= 0
    inputs["sentence"] *= 0
    with tf.GradientTape() as tape:
        outputs = glam(**inputs, padding_mask=np.ones((2, L), bool), training=True)
        loss = tf.reduce_sum(tf.square(outputs["images"][-1]))
    for gradient in tape.gradient(loss, glam.trainable_variables):
        assert gradient is None or np.isfinite(gradient).all()
    assert np.isfinite(outputs["images"][-1]).all()


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
    def generate(*arrays):
        return glam(**dict(zip(inputs, arrays, strict=True)))["images"][-1]

    np.testing.assert_allclose(generate(*inputs.values()), expected, atol=1e-5)
    one = (array[:1] for array in inputs.values())
    np.testing.assert_allclose(generate(*one), expected[:1], atol=1e-5)


@pytest.mark.parametrize(
    "argument", [{"base_size": 48}, {"base_size": 4}, {"stages": 0}]
)
def test_sizes_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        _glam(**argument)


def test_paper_size_networks_have_the_known_numbers_of_parameters():
    # No weight is initialised in this scope.
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
