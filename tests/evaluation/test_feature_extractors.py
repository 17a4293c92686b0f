import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.feature_extractors import model_extractors

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
CAPTIONS = [
    "a red bird",
    "a black bird with red wings and black wings",
    "",
    "a bird",
    "red",
]


@pytest.fixture(scope="module")
def model(trained_model):
    return trained_model


def test_likelihood_is_the_product_over_the_words(model):
    extractor = model_extractors(model)["stream"]()
    features = extractor(IMAGES)["feature"]
    logs, words = extractor.likelihood(features, CAPTIONS)
    # The end counts, except after six words, for which alone there is room.
    assert words.tolist() == [4, 6, 1, 3, 2]
    decoder = model.stream.decoder
    for row, caption in enumerate(CAPTIONS):
        ids = model.tokenizer(tf.constant(caption))[0].numpy()
        states, inputs, expected = decoder.initial_states(1), features[row : row + 1], 0
        for word in ids[: words[row]]:
            logits, states = decoder.step(inputs, states)
            expected += tf.nn.log_softmax(logits)[0, word].numpy()
            inputs = decoder.embedding(np.array([word]))
        assert logs[row] == pytest.approx(expected, rel=1e-4)


def test_redescriptions_are_those_of_the_model(model):
    extractor = model_extractors(model)["stream"]()
    texts = extractor.texts(extractor(IMAGES)["redescription"])
    assert texts == model.redescribe(IMAGES)


def test_codes_do_not_depend_on_the_batch(model):
    extractor = model_extractors(model)["damsm"]()
    codes, sentences = extractor(IMAGES)["code"], extractor.embed(CAPTIONS)
    assert codes.shape == sentences.shape == (5, model.config.encoders.words_dim)
    np.testing.assert_allclose(extractor(IMAGES[2:3])["code"], codes[2:3], atol=1e-5)
    many = extractor.embed(CAPTIONS * 60)
    np.testing.assert_allclose(many[-5:], sentences, atol=1e-5)


def test_networks_that_a_model_lacks_are_named(model, tmp_path):
    missing = model_extractors(None)
    with pytest.raises(UserError, match="needs DAMSM; give --workdir"):
        missing["damsm"]()
    with pytest.raises(UserError, match="needs STREAM; give --workdir or --preset"):
        missing["stream"]()
