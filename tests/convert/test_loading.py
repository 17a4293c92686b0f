import numpy as np
import pytest

from mirrorgan_tf.convert.loading import load_pytorch_state
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.models.discriminators import Discriminator
from mirrorgan_tf.models.glam import Glam
from mirrorgan_tf.models.image_encoder import ImageEncoder
from mirrorgan_tf.models.stem import Stem
from mirrorgan_tf.models.stream import StreamDecoder
from tests.convert.states import pytorch_state
from tools.parity import networks


def _glam(**kwargs):
    glam = Glam(**kwargs)
    glam.build((None, None, 6), (None, 6))
    return glam


def _discriminator(size):
    discriminator = Discriminator(size, width=2)
    discriminator.build((None, size, size, 3), (None, 6))
    return discriminator


def _stem():
    stem = Stem(7, embedding_dim=3, words_dim=8)
    stem.build((None, 5))
    return stem


def _decoder():
    decoder = StreamDecoder(7, embedding_dim=3, hidden_dim=4)
    decoder.build((None, 3))
    return decoder


SMALL = {"width": 2, "noise_dim": 3, "condition_dim": 5}
CASES = {
    "stem": (_stem, networks.load_stem),
    "decoder": (_decoder, networks.load_stream_decoder),
    "glam": (lambda: _glam(**SMALL), networks.load_glam),
    "one stage": (lambda: _glam(base_size=16, stages=1, **SMALL), networks.load_glam),
    "four stages": (
        lambda: _glam(base_size=8, stages=4, residual_blocks=3, **SMALL),
        networks.load_glam,
    ),
    "attngan": (
        lambda: _glam(base_size=8, sentence_attention=False, **SMALL),
        networks.load_glam,
    ),
    **{
        f"discriminator {size}": (
            lambda size=size: _discriminator(size),
            networks.load_discriminator,
        )
        for size in (64, 256)
    },
}


def _randomise(model):
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])


@pytest.mark.parametrize("name", CASES)
def test_conversion_in_both_directions_changes_nothing(name):
    build, load = CASES[name]
    model = build()
    _randomise(model)
    state = pytorch_state(model)
    # The sizes are inferred from the state.
    loaded = load(state)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert state.keys() == pytorch_state(loaded).keys()
    ignored = {"name", "dtype", "trainable", "dropout"}
    if name == "one stage":
        # A generator of one stage has no residual blocks.
        ignored.add("residual_blocks")
    config, loaded_config = model.get_config(), loaded.get_config()
    for key in config.keys() - ignored:
        assert config[key] == loaded_config[key], key


def test_parameters_that_do_not_fit_are_named_and_change_nothing():
    stem = _stem()
    before = stem.get_weights()
    state = pytorch_state(stem)
    state["rnn.num_batches_tracked"] = np.array(3)
    load_pytorch_state(stem, state)
    state["encoder.weight"] = np.ones((7, 4))
    del state["rnn.bias_ih_l0"], state["rnn.weight_hh_l0"]
    state["decoder.weight"] = np.ones(3)
    with pytest.raises(UserError) as error:
        load_pytorch_state(stem, state)
    text = str(error.value)
    for part in (
        "missing: ",
        "rnn.bias_ih_l0",
        "rnn.weight_hh_l0",
        "unknown: decoder.weight",
        "encoder.weight (7, 4), expected (7, 3)",
    ):
        assert part in text
    assert "tracked" not in text and "reverse" not in text
    for a, b in zip(before, stem.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_biases_of_an_lstm_are_added():
    stem = _stem()
    state = pytorch_state(stem)
    state["rnn.bias_hh_l0"] = state["rnn.bias_hh_l0"] + 1.0
    before = stem.forward_lstm.cell.bias.numpy()
    load_pytorch_state(stem, state)
    np.testing.assert_allclose(stem.forward_lstm.cell.bias.numpy(), before + 1.0)


def test_models_unknown_to_the_original_are_refused():
    with pytest.raises(TypeError, match="expected Stem"):
        pytorch_state(ImageEncoder("small", "none", width=1, words_dim=2))
