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


def test_likelihood_is_the_product_of_the_words_probabilities(trained_model):
    model = trained_model
    extractor = model_extractors(model)["stream"]()
    features = extractor(IMAGES)["feature"]
    logs, words = extractor.likelihood(features, CAPTIONS)
    # The end counts as a word, except after six words, the maximum of this model.
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


def test_redescriptions_equal_those_of_the_model(trained_model):
    extractor = model_extractors(trained_model)["stream"]()
    texts = extractor.texts(extractor(IMAGES)["redescription"])
    assert texts == trained_model.redescribe(IMAGES)


def test_codes_do_not_depend_on_the_batch(trained_model):
    extractor = model_extractors(trained_model)["damsm"]()
    codes, sentences = extractor(IMAGES)["code"], extractor.embed(CAPTIONS)
    assert codes.shape == sentences.shape == (5, 8)
    np.testing.assert_allclose(extractor(IMAGES[2:3])["code"], codes[2:3], atol=1e-5)
    many = extractor.embed(CAPTIONS * 60)
    np.testing.assert_allclose(many[-5:], sentences, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("damsm", "needs DAMSM; give --workdir"),
        ("stream", "needs STREAM; give --workdir or --preset"),
    ],
)
def test_an_export_has_no_networks_for_features(name, message):
    with pytest.raises(UserError, match=message):
        model_extractors(None)[name]()
