import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.networks import build_glam
from mirrorgan_tf.serving.served_model import ServedModel
from mirrorgan_tf.serving.signatures import Signatures
from mirrorgan_tf.text_to_image import TextToImage

CAPTIONS = ["a red bird with black wings", "", "a bird", "black"]
SEEDS = [7, -1, 2**63 - 1, 7]


@pytest.fixture(scope="module")
def model(trained_model):
    return trained_model


@pytest.fixture(scope="module")
def described(model):
    return model.describe(CAPTIONS, seed=SEEDS)


@pytest.fixture(scope="module")
def call(loaded):
    """A function of a signature's name and its inputs that returns arrays by name."""

    def call(signature, **inputs):
        return call_endpoint(loaded.signatures[signature], **inputs)

    return call


def call_endpoint(endpoint, **inputs):
    specs = endpoint.structured_input_signature[1]
    tensors = {
        name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()
    }
    return {name: value.numpy() for name, value in endpoint(**tensors).items()}


def assert_equal_but_for_rounding(images, others):
    assert images.shape == others.shape and images.dtype == others.dtype == np.uint8
    assert np.abs(images.astype(int) - others).max() <= 1
    assert (images != others).mean() < 0.01


def test_explain_returns_the_generators_outputs(call, described):
    outputs = call("explain", caption=CAPTIONS, seed=SEEDS)
    for size, images in zip((16, 32), described["images"], strict=True):
        assert_equal_but_for_rounding(outputs[f"image_{size}"], images)
    np.testing.assert_allclose(
        outputs["word_attention_16"], described["word_attention"][0], atol=1e-5
    )
    words = [[word.decode() for word in row if word] for row in outputs["words"]]
    assert words == [caption.split() for caption in CAPTIONS]
    assert outputs["length"].tolist() == [6, 0, 2, 1]
    weights = described["sentence_attention"][0].astype(np.float64)
    entropy = -(weights * np.log(weights)).sum(-1)
    np.testing.assert_allclose(
        outputs["sentence_attention_16"], 1 - entropy / np.log(4), atol=1e-5
    )


def test_redescribe_returns_log_likelihoods_by_teacher_forcing(call, described, model):
    outputs = call("redescribe", caption=CAPTIONS, seed=SEEDS)
    assert_equal_but_for_rounding(outputs["image"], described["images"][-1])
    texts = [text.decode() for text in outputs["redescription"]]
    assert texts == described["redescription"]
    for row, caption in enumerate(CAPTIONS):
        ids = model.tokenizer([caption])[0]
        feature = model.stream.encoder(
            described["images"][-1][row : row + 1] / np.float32(127.5) - 1
        )
        logits = model.stream.decoder(feature, ids).numpy()[0].astype(np.float64)
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        # Id 0 ends a caption that is shorter than the maximum.
        targets = [*ids.numpy()[0][: len(caption.split())], 0][: ids.shape[1]]
        expected = sum(log_probs[i, word] for i, word in enumerate(targets))
        # These images are rounded to uint8, those of the served model are not.
        assert outputs["log_likelihood"][row] == pytest.approx(expected, rel=1e-2)


def test_best_of_chooses_the_most_likely_candidate(call):
    outputs = call("best_of", caption=CAPTIONS, seed=[5, 6, 7, 8])
    for row, caption in enumerate(CAPTIONS):
        seeds = range(row + 5, row + 9)
        candidates = call("redescribe", caption=[caption] * 4, seed=seeds)
        best = candidates["log_likelihood"].argmax()
        assert outputs["seed"][row] == seeds[best]
        assert outputs["log_likelihood"][row] == candidates["log_likelihood"][best]
        np.testing.assert_array_equal(outputs["image"][row], candidates["image"][best])


def test_interpolate_changes_images_gradually_between_both_captions(call):
    start, end = CAPTIONS[0], "a bird"
    images = call(
        "interpolate",
        caption_from=[start] * 11,
        caption_to=[end] * 11,
        weight=np.linspace(0, 1, 11),
        seed=[3] * 11,
    )["image"].astype(np.float64)
    ends = call("seeded", caption=[start, end], seed=[3, 3])["image"]
    assert_equal_but_for_rounding(images[[0, -1]].astype(np.uint8), ends)
    steps = np.abs(np.diff(images, axis=0)).mean((1, 2, 3))
    assert np.abs(images[-1] - images[0]).mean() > 0
    assert steps.max() < 0.5 * steps.sum()


def test_interpolation_weights_are_clipped(call):
    weights = np.array([0, -2, np.nan, -np.inf, 1, np.inf, 7])
    images = call(
        "interpolate",
        caption_from=["red"] * 7,
        caption_to=["black"] * 7,
        weight=weights,
        seed=[1] * 7,
    )["image"]
    for row, same_as in ((1, 0), (2, 0), (3, 0), (5, 4), (6, 4)):
        np.testing.assert_array_equal(images[row], images[same_as])


@pytest.mark.parametrize("signature", ["seeded", "explain", "redescribe", "best_of"])
def test_seeded_rows_do_not_depend_on_their_batch(call, signature):
    together = call(signature, caption=CAPTIONS, seed=SEEDS)
    for row in range(len(CAPTIONS)):
        alone = call(signature, caption=[CAPTIONS[row]], seed=[SEEDS[row]])
        for name, value in alone.items():
            np.testing.assert_array_equal(value[0], together[name][row], name)


def test_embed_returns_stems_embeddings(call, model):
    expected = model.embed(CAPTIONS)
    outputs = call("embed", caption=CAPTIONS)
    np.testing.assert_allclose(outputs["words"], expected["words"], atol=1e-6)
    np.testing.assert_allclose(outputs["sentence"], expected["sentence"], atol=1e-6)
    assert outputs["length"].tolist() == [6, 0, 2, 1]


@pytest.mark.parametrize("signature", ["png", "jpeg"])
def test_files_contain_images_of_new_noise(call, signature):
    first, second = call(signature, caption=["red", "red"])["image_bytes"]
    assert tf.io.decode_image(first).shape == (32, 32, 3)
    assert first != second


def test_xla_compiles_few_batch_sizes_and_gives_the_same_images(
    model, call, monkeypatch
):
    batch_sizes = []
    from_embeddings = TextToImage.from_embeddings

    def recording_from_embeddings(self, words, *arguments, **options):
        tf.py_function(
            lambda size: batch_sizes.append(int(size)), [tf.shape(words)[0]], []
        )
        return from_embeddings(self, words, *arguments, **options)

    monkeypatch.setattr(TextToImage, "from_embeddings", recording_from_embeddings)
    served = ServedModel(model.tokenizer, model.stem, model.glam, max_batch=5, xla=True)
    inputs = {"caption": CAPTIONS, "seed": SEEDS}
    images = call_endpoint(served.endpoints["seeded"], **inputs)["image"]
    assert_equal_but_for_rounding(images, call("seeded", **inputs)["image"])
    default = served.endpoints["serving_default"]
    for rows in (0, 3):
        captions = tf.constant(["a"] * rows, tf.string)
        assert default(caption=captions)["image"].shape == (rows, 32, 32, 3)
    assert batch_sizes == [1] * 4 + [1, 4]
    assert served.batch_sizes == [1, 2, 4, 5]


def test_explain_returns_no_attention_of_networks_without_it(model, tiny_config):
    config = tiny_config.replace(word_attention=False, sentence_attention=False)
    text_to_image = TextToImage(model.tokenizer, model.stem, build_glam(config))
    signatures = Signatures(text_to_image, candidates=1)
    explained = signatures.explain(tf.constant(["a"]), tf.constant([1], tf.int64))
    assert set(explained) == {"image_16", "image_32", "words", "length"}


def test_inputs_of_different_lengths_are_refused(call):
    with pytest.raises(tf.errors.InvalidArgumentError, match="seed and caption differ"):
        call("seeded", caption=["a", "b"], seed=[1])
