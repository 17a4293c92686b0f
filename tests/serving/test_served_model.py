import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.mirrorgan import TextToImage
from mirrorgan_tf.networks import build_glam, build_stem
from mirrorgan_tf.serving.served_model import ServedModel
from mirrorgan_tf.workdir import open_workdir

CAPTIONS = ["a red bird with black wings", "", "a bird", "black"]
SEEDS = [7, -1, 2**63 - 1, 7]


@pytest.fixture(scope="module")
def run(trained_workdir):
    return open_workdir(trained_workdir)


@pytest.fixture(scope="module")
def described(run):
    return run.describe(CAPTIONS, seed=SEEDS)


@pytest.fixture(scope="module")
def ask(run):
    """ask(signature, inputs by name) to arrays by name."""
    model = ServedModel(run.tokenizer, run.stem, run.glam, run.stream, candidates=3)

    def ask(signature, **inputs):
        specs = model.endpoints[signature].structured_input_signature[1]
        tensors = {
            name: tf.constant(value, specs[name].dtype)
            for name, value in inputs.items()
        }
        made = model.endpoints[signature](**tensors)
        return {name: value.numpy() for name, value in made.items()}

    return ask


def assert_like(images, others):
    """Equal but for rounding."""
    assert images.shape == others.shape and images.dtype == others.dtype == np.uint8
    assert np.abs(images.astype(int) - others).max() <= 1
    assert (images != others).mean() < 0.01


def test_a_seed_gives_the_image_that_generate_gives(ask, described):
    made = ask("seeded", caption=CAPTIONS, seed=SEEDS)
    assert_like(made["image"], described["images"][-1])


def test_it_explains_what_the_generator_did(ask, described):
    made = ask("explain", caption=CAPTIONS, seed=SEEDS)
    for size, images in zip((16, 32), described["images"], strict=True):
        assert_like(made[f"image_{size}"], images)
    np.testing.assert_allclose(
        made["word_attention_16"], described["word_attention"][0], atol=1e-5
    )
    assert [[w.decode() for w in words if w] for words in made["words"]] == [
        caption.split() for caption in CAPTIONS
    ]
    assert made["length"].tolist() == [6, 0, 2, 1]
    weights = described["sentence_attention"][0].astype(np.float64)
    entropy = -(weights * np.log(weights)).sum(-1)
    np.testing.assert_allclose(
        made["sentence_attention_16"], 1 - entropy / np.log(4), atol=1e-5
    )


def test_it_redescribes_and_scores(ask, described, run):
    made = ask("redescribe", caption=CAPTIONS, seed=SEEDS)
    assert_like(made["image"], described["images"][-1])
    read = [text.decode() for text in made["redescription"]]
    assert read == described["redescription"]
    # The probability of each word and of the end, by teacher forcing.
    for row, caption in enumerate(CAPTIONS):
        ids = run.tokenizer([caption])[0]
        feature = run.stream.encoder(
            described["images"][-1][row : row + 1] / np.float32(127.5) - 1
        )
        logits = run.stream.decoder(feature, ids).numpy()[0].astype(np.float64)
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        said = [*ids.numpy()[0][: len(caption.split())], 0][: ids.shape[1]]
        expected = sum(log_probs[i, word] for i, word in enumerate(said))
        # The image was rounded to uint8 here.
        assert made["log_likelihood"][row] == pytest.approx(expected, rel=1e-2)


def test_the_best_candidate_is_chosen(ask):
    made = ask("best_of", caption=CAPTIONS, seed=[5, 6, 7, 8])
    for row, caption in enumerate(CAPTIONS):
        seeds = [row + 5, row + 6, row + 7]
        each = ask("redescribe", caption=[caption] * 3, seed=seeds)
        best = each["log_likelihood"].argmax()
        assert made["seed"][row] == seeds[best]
        assert made["log_likelihood"][row] == each["log_likelihood"][best]
        np.testing.assert_array_equal(made["image"][row], each["image"][best])


def test_a_path_leads_from_caption_to_caption(ask):
    start, end = CAPTIONS[0], "a bird"
    weights = np.linspace(0, 1, 11)
    path = ask(
        "interpolate",
        caption_from=[start] * 11,
        caption_to=[end] * 11,
        weight=weights,
        seed=[3] * 11,
    )["image"].astype(np.float64)
    ends = ask("seeded", caption=[start, end], seed=[3, 3])["image"]
    assert_like(path[[0, -1]].astype(np.uint8), ends)
    steps = np.abs(np.diff(path, axis=0)).mean((1, 2, 3))
    whole = np.abs(path[-1] - path[0]).mean()
    # No step is a jump.
    assert whole > 0 and steps.max() < 0.5 * steps.sum()


def test_weights_beyond_the_ends_are_the_ends(ask):
    def between(weight):
        return ask(
            "interpolate",
            caption_from=["red"],
            caption_to=["black"],
            weight=[weight],
            seed=[1],
        )["image"]

    for odd, plain in ((-2, 0), (np.nan, 0), (-np.inf, 0), (np.inf, 1), (7, 1)):
        np.testing.assert_array_equal(between(odd), between(plain))


def test_rows_of_a_seed_are_alone_in_the_world(ask):
    for signature in ("seeded", "explain", "redescribe", "best_of"):
        together = ask(signature, caption=CAPTIONS, seed=SEEDS)
        for row in range(len(CAPTIONS)):
            alone = ask(signature, caption=[CAPTIONS[row]], seed=[SEEDS[row]])
            for name, value in alone.items():
                np.testing.assert_array_equal(value[0], together[name][row], name)


def test_embeddings_are_stems(ask, run):
    expected = run.embed(CAPTIONS)
    made = ask("embed", caption=CAPTIONS)
    np.testing.assert_allclose(made["words"], expected["words"], atol=1e-6)
    np.testing.assert_allclose(made["sentence"], expected["sentence"], atol=1e-6)
    assert made["length"].tolist() == [6, 0, 2, 1]


def test_files_hold_images(ask):
    for signature in ("png", "jpeg"):
        files = ask(signature, caption=["red", "black"])["image_bytes"]
        for content in files:
            assert tf.io.decode_image(content).shape == (32, 32, 3)
        assert files[0] != files[1]


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantize": "int8"}])
def test_smaller_numbers_make_nearly_the_same_image(run, ask, options):
    model = ServedModel(run.tokenizer, run.stem, run.glam, run.stream, **options)
    made = model.endpoints["seeded"](
        caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS, tf.int64)
    )["image"].numpy()
    exact = ask("seeded", caption=CAPTIONS, seed=SEEDS)["image"]
    assert 0 < np.abs(made.astype(int) - exact).mean() < 3
    # Weights in floats take two bytes, or one, of four.
    plain = ServedModel(run.tokenizer, run.stem, run.glam, run.stream)
    assert stored_bytes(model) < stored_bytes(plain)


def stored_bytes(model):
    return sum(variable.numpy().nbytes for variable in model.variables)


def test_compiled_images_are_the_same_from_few_batch_sizes(run, ask, monkeypatch):
    batch_sizes = []
    draw = TextToImage.draw

    def recording_draw(self, words, *arguments, **options):
        tf.py_function(
            lambda size: batch_sizes.append(int(size)), [tf.shape(words)[0]], []
        )
        return draw(self, words, *arguments, **options)

    monkeypatch.setattr(TextToImage, "draw", recording_draw)
    model = ServedModel(run.tokenizer, run.stem, run.glam, max_batch=5, xla=True)
    images = model.endpoints["seeded"](
        caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS, tf.int64)
    )["image"].numpy()
    assert_like(images, ask("seeded", caption=CAPTIONS, seed=SEEDS)["image"])
    default = model.endpoints["serving_default"]
    for rows in (0, 3, 5):
        captions = tf.constant(["a"] * rows, tf.string)
        assert default(caption=captions)["image"].shape == (rows, 32, 32, 3)
    assert batch_sizes == [1] * 4 + [1, 4, 5]
    assert model.batch_sizes == [1, 2, 4, 5]


def test_what_networks_lack_is_not_served(run, tiny_config):
    config = tiny_config.replace(word_attention=False, sentence_attention=False)
    model = ServedModel(
        run.tokenizer, build_stem(config, 7), build_glam(config), max_batch=2
    )
    assert not {"redescribe", "best_of"} & set(model.endpoints)
    explained = model.endpoints["explain"].structured_outputs
    assert set(explained) == {"image_16", "image_32", "words", "length"}
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 2 a request"):
        model.endpoints["png"](caption=tf.constant(["a"] * 3))


def test_inputs_of_other_lengths_are_refused(ask):
    with pytest.raises(tf.errors.InvalidArgumentError, match="seed and caption differ"):
        ask("seeded", caption=["a", "b"], seed=[1])
