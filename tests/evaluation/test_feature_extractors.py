import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.evaluation.feature_extractors import DamsmJudge, StreamJudge
from mirrorgan_tf.workdir import open_image_encoder, open_workdir

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
CAPTIONS = [
    "a red bird",
    "a black bird with red wings and black wings",
    "",
    "a bird",
    "red",
]


@pytest.fixture(scope="module")
def run(trained_workdir):
    return open_workdir(trained_workdir)


def test_likelihood_is_the_product_over_the_words(run):
    judge = StreamJudge(run.stream, run.tokenizer)
    features = judge(IMAGES)["feature"]
    logs, words = judge.likelihood(features, CAPTIONS)
    # The end counts, except after six words, the most that there is room for.
    assert words.tolist() == [4, 6, 1, 3, 2]
    decoder = run.stream.decoder
    for row, caption in enumerate(CAPTIONS):
        ids = run.tokenizer(tf.constant(caption))[0].numpy()
        states, inputs, expected = decoder.initial_states(1), features[row : row + 1], 0
        for word in ids[: words[row]]:
            logits, states = decoder.step(inputs, states)
            expected += tf.nn.log_softmax(logits)[0, word].numpy()
            inputs = decoder.embedding(np.array([word]))
        assert logs[row] == pytest.approx(expected, rel=1e-4)


def test_what_is_said_is_text(run):
    judge = StreamJudge(run.stream, run.tokenizer)
    texts = judge.texts(judge(IMAGES)["said"])
    known = set(run.tokenizer.get_vocabulary())
    assert len(texts) == 5 and all(set(text.split()) <= known for text in texts)


def test_codes_do_not_depend_on_the_batch(run):
    judge = DamsmJudge(open_image_encoder(run), run.stem, run.tokenizer)
    codes, sentences = judge(IMAGES)["code"], judge.embed(CAPTIONS)
    assert codes.shape == sentences.shape == (5, run.config.encoders.words_dim)
    np.testing.assert_allclose(judge(IMAGES[2:3])["code"], codes[2:3], atol=1e-5)
    np.testing.assert_allclose(judge.embed(CAPTIONS * 60)[-5:], sentences, atol=1e-5)
    assert judge.facts != StreamJudge(run.stream, run.tokenizer).facts
