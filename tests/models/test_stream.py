import numpy as np
import pytest

from mirrorgan_tf.models.stream import StreamDecoder, StreamEncoder

IDS = np.array([[1, 2, 3, 4], [4, 3, 0, 0]], np.int32)


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def decoder():
    model = StreamDecoder(6, embedding_dim=4, hidden_dim=5)
    model(_normal(2, 4), IDS)
    return model


def test_each_word_is_told_from_the_ones_before(decoder):
    features = _normal(2, 4)
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


def test_steps_agree_with_teacher_forcing(decoder):
    features = _normal(2, 4)
    states = decoder.initial_states(2)
    inputs = features
    for place in range(4):
        logits, states = decoder.step(inputs, states)
        np.testing.assert_allclose(
            logits, decoder(features, IDS)[:, place], rtol=1e-5, atol=1e-6
        )
        inputs = decoder.embedding(IDS[:, place])


def test_a_feature_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected 4"):
        StreamDecoder(6, embedding_dim=4, hidden_dim=5)(_normal(2, 3), IDS)


def test_encoder_takes_images_of_any_size():
    encoder = StreamEncoder("small", "none", width=2, feature_dim=7)
    for size in (32, 64, 100, 128):
        assert encoder(_normal(2, size, size, 3)).shape == (2, 7)
    assert encoder(_normal(1, 64, 48, 3)).shape == (1, 7)


def test_encoder_follows_its_batch_only_in_training():
    encoder = StreamEncoder("small", "none", width=2, feature_dim=7)
    images = _normal(3, 64, 64, 3)
    np.testing.assert_allclose(encoder(images)[:1], encoder(images[:1]), atol=1e-5)
    before = encoder.norm.moving_mean.numpy()
    encoder(images, training=True)
    assert np.abs(encoder.norm.moving_mean.numpy() - before).max() > 0
