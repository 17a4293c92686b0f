import keras
import numpy as np
import pytest

from mirrorgan_tf.models.redescription import greedy
from mirrorgan_tf.models.stream import StreamDecoder, StreamEncoder
from tests.conftest import normal

IDS = np.array([[1, 2, 3, 4], [4, 3, 0, 0]], np.int32)


@pytest.fixture(scope="module")
def decoder():
    model = StreamDecoder(6, embedding_dim=4, hidden_dim=5)
    model(normal(2, 4), IDS)
    return model


def test_logits_depend_only_on_earlier_words(decoder):
    features = normal(2, 4)
    logits = decoder(features, IDS).numpy()
    assert logits.shape == (2, 4, 6)
    for place in range(4):
        later = IDS.copy()
        later[:, place:] = 5
        np.testing.assert_allclose(
            decoder(features, later)[:, : place + 1], logits[:, : place + 1], atol=1e-6
        )
        if place < 3:
            differs = np.abs(decoder(features, later) - logits)[:, place + 1 :]
            assert differs.max() > 1e-5


def test_single_steps_equal_teacher_forcing(decoder):
    features = normal(2, 4)
    states = decoder.initial_states(2)
    inputs = features
    for place in range(4):
        logits, states = decoder.step(inputs, states)
        np.testing.assert_allclose(
            logits, decoder(features, IDS)[:, place], rtol=1e-5, atol=1e-6
        )
        inputs = decoder.embedding(IDS[:, place])


def test_lstm_computes_in_float32_under_mixed_bfloat16():
    full, half = models = [
        StreamDecoder(6, embedding_dim=4, hidden_dim=5, dtype=policy)
        for policy in ("float32", "mixed_bfloat16")
    ]
    for model in models:
        model.build((None, 4), (None, 4))
    # Values that bfloat16 represents exactly: only the computation differs.
    weights = [np.round(w * 64) / 64 for w in full.get_weights()]
    for model in models:
        model.set_weights(weights)
    features = np.round(normal(2, 4) * 16) / 16
    states = [model.initial_states(2) for model in models]
    inputs = [features, features]
    for place in range(4):
        _, states[0] = full.step(inputs[0], states[0])
        _, states[1] = half.step(inputs[1], states[1])
        for value, expected in zip(states[1], states[0], strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        inputs = [model.embedding(IDS[:, place]) for model in models]
    # The logits are a product in bfloat16.
    whole = half(features, IDS)
    assert whole.dtype == "float32"
    np.testing.assert_allclose(whole, full(features, IDS), atol=2e-2)
    assert greedy(half, features, 5).shape == (2, 5)


@pytest.mark.parametrize("share, long_units", [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_long_memory_units_keep_their_cell_state(share, long_units):
    decoder = StreamDecoder(6, embedding_dim=4, hidden_dim=4, long_memory=share)
    decoder(normal(2, 4), IDS)
    # Nothing is added: the forget gates alone decide what remains of the initial 1.
    for kernel in (decoder.lstm.cell.kernel, decoder.lstm.cell.recurrent_kernel):
        kernel.assign(np.zeros(kernel.shape))
    states = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    for _ in range(10):
        _, states = decoder.step(np.zeros((1, 4), np.float32), states)
    kept = 1 / (1 + np.exp(-4.0)), 1 / (1 + np.exp(-1.0))
    expected = [kept[0] ** 10] * long_units + [kept[1] ** 10] * (4 - long_units)
    np.testing.assert_allclose(states[1][0], expected, rtol=1e-5)


def test_without_long_memory_biases_are_those_of_keras():
    decoder = StreamDecoder(6, embedding_dim=4, hidden_dim=5)
    decoder(normal(2, 4), IDS)
    lstm = keras.layers.LSTM(5)
    lstm.build((None, None, 4))
    np.testing.assert_array_equal(decoder.lstm.cell.bias, lstm.cell.bias)


def test_feature_of_wrong_length_is_refused():
    with pytest.raises(ValueError, match="expected 4"):
        StreamDecoder(6, embedding_dim=4, hidden_dim=5)(normal(2, 3), IDS)


def test_encoder_takes_images_of_any_size():
    encoder = StreamEncoder("small", "none", width=2, feature_dim=7)
    for size in (32, 64, 100, 128):
        assert encoder(normal(2, size, size, 3)).shape == (2, 7)
    assert encoder(normal(1, 64, 48, 3)).shape == (1, 7)


def test_encoder_uses_batch_statistics_only_in_training():
    encoder = StreamEncoder("small", "none", width=2, feature_dim=7)
    images = normal(3, 64, 64, 3)
    np.testing.assert_allclose(encoder(images)[:1], encoder(images[:1]), atol=1e-5)
    before = encoder.norm.moving_mean.numpy()
    encoder(images, training=True)
    assert np.abs(encoder.norm.moving_mean.numpy() - before).max() > 0
