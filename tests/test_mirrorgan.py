import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.models.redescription import greedy, log_likelihood
from mirrorgan_tf.text_to_image import TextToImage, seeded_noise
from tests.conftest import ROOT

CAPTION = "a red bird with black wings"


@pytest.fixture(scope="module")
def model(trained_model):
    return trained_model


def test_importing_the_package_imports_neither_tensorflow_nor_keras():
    program = (
        "import sys, mirrorgan_tf\n"
        "print({name.split('.')[0] for name in sys.modules} "
        "& {'keras', 'tensorflow', 'numpy', 'absl'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


def test_generate_returns_one_image_a_caption(model):
    assert model.image_size == 32
    image = model.generate(CAPTION, seed=7)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and image.std() > 0
    images = model.generate([CAPTION, "zebra", CAPTION], seed=[7, 7, 8])
    assert images.shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(images[0], image)
    assert (images[2] != image).any() and (images[1] != image).any()
    assert model.generate([]).shape == (0, 32, 32, 3)


def test_num_images_continues_the_seeds(model):
    images = model.generate(["red", "black"], seed=[3, 2**63 - 1], num_images=2)
    assert images.shape == (2, 2, 32, 32, 3)
    expected = model.generate(["red", "black"], seed=[4, -(2**63)])
    np.testing.assert_array_equal(images[:, 1], expected)
    assert model.generate("red", num_images=3).shape == (3, 32, 32, 3)
    assert model.generate([], num_images=3).shape == (0, 3, 32, 32, 3)


def test_without_a_seed_every_image_is_another(model):
    images = model.generate(["red"] * 2, seed=None)
    assert (images[0] != images[1]).any()
    assert (model.generate("red") != model.generate("red")).any()


def test_generate_and_the_exported_signature_seeded_agree_bit_for_bit(model, loaded):
    captions = [CAPTION, "", "a bird", "black"]
    seeds = [7, -1, 2**63 - 1, 7]
    served = loaded.signatures["seeded"](
        caption=tf.constant(captions), seed=tf.constant(seeds, tf.int64)
    )["image"]
    np.testing.assert_array_equal(model.generate(captions, seed=seeds), served)


def test_describe_returns_what_the_networks_compute(model):
    captions = ["a red naïve zebra, black 鳥", "wings"]
    description = model.describe(captions, seed=[3, 4])
    chain = TextToImage(model.tokenizer, model.stem, model.glam)
    noise = seeded_noise(tf.constant([3, 4], tf.int64), chain.noise_dim)
    outputs = chain(tf.constant(captions), noise)
    for images, expected in zip(description["images"], outputs["images"], strict=True):
        expected = (expected.numpy() + 1) * 127.5
        assert np.abs(images.astype(np.float32) - expected).max() < 0.52
    for name in ("word_attention", "sentence_attention"):
        np.testing.assert_allclose(description[name][0], outputs[name][0], atol=1e-5)
    features = model.stream.encoder(outputs["images"][-1])
    ids = greedy(model.stream.decoder, features, 6)
    expected = model.tokenizer.detokenize(ids).numpy()
    assert description["redescription"] == [text.decode() for text in expected]
    np.testing.assert_allclose(
        description["log_likelihood"],
        log_likelihood(model.stream.decoder, features, outputs["ids"]),
        rtol=1e-4,
    )
    assert description["words"] == [["a", "red", "black"], ["wings"]]
    assert description["unknown_words"] == [["naïve", "zebra", "鳥"], []]
    assert description["seeds"] == [3, 4]
    alone = model.describe(captions[0], seed=3)
    assert (
        alone["seed"] == 3 and alone["redescription"] == description["redescription"][0]
    )
    np.testing.assert_array_equal(alone["images"][1], description["images"][1][0])
    np.testing.assert_array_equal(
        alone["images"][1], model.generate(captions[0], seed=3)
    )
    assert model.describe([])["images"][0].shape == (0, 16, 16, 3)


def test_embed_returns_the_text_encoders_outputs(model):
    captions = [CAPTION, "red"]
    ids, lengths = model.tokenizer(captions)
    words, sentence = model.stem(ids, lengths)[:2]
    embedded = model.embed(captions)
    np.testing.assert_allclose(embedded["words"], words, atol=1e-6)
    np.testing.assert_allclose(embedded["sentence"], sentence, atol=1e-6)
    assert embedded["lengths"].tolist() == [6, 1]
    assert model.embed("red")["words"].shape == (6, 8)
    shapes = {name: value.shape for name, value in model.embed([]).items()}
    assert shapes == {"words": (0, 6, 8), "sentence": (0, 8), "lengths": (0,)}


def test_redescribe_reads_images(model):
    images = model.generate(["red", "black wings"], seed=1)
    ids = greedy(model.stream.decoder, model.stream.encoder(images / 127.5 - 1), 6)
    expected = [text.decode() for text in model.tokenizer.detokenize(ids).numpy()]
    assert model.redescribe(images) == expected
    assert model.redescribe(images[1]) == expected[1]
    assert model.redescribe(images[:0]) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.generate(7), TypeError, "captions=7"),
        (lambda m: m.generate({"a": "b"}), TypeError, "captions={'a': 'b'}"),
        (lambda m: m.generate(["a", None]), TypeError, "captions=.*list of strings"),
        (lambda m: m.generate("a", seed=1.5), TypeError, "seed=1.5"),
        (lambda m: m.generate("a", seed="1"), TypeError, "seed='1'"),
        (lambda m: m.generate("a", seed=float("nan")), TypeError, "seed=nan"),
        (lambda m: m.generate(["a"], seed=[[1, 2]]), TypeError, r"seed=\[1, 2\]"),
        (lambda m: m.generate("a", seed=2**63), ValueError, "seed=9223372036854775808"),
        (lambda m: m.generate(["a"], seed=[1, 2]), ValueError, "seed: 2 seeds for 1"),
        (lambda m: m.generate("a", num_images=0), ValueError, "num_images=0"),
        (lambda m: m.generate("a", batch_size="x"), TypeError, "batch_size='x'"),
        (lambda m: m.redescribe(np.zeros((32, 32, 3))), TypeError, "images: dtype"),
        (
            lambda m: m.redescribe(np.zeros((9, 9, 3), "u1")),
            ValueError,
            "images: shape",
        ),
        (
            lambda m: m.redescribe([[[1]], [[1], [2]]]),
            ValueError,
            "images: they have different shapes",
        ),
        (lambda m: m.from_workdir("nowhere"), ValueError, "nowhere: no flags.cfg"),
        (lambda m: m.from_workdir(None), TypeError, "path=None"),
        (lambda m: m.from_preset("nothing"), ValueError, "nothing: there is no such"),
        (lambda m: m.save_to_preset(""), ValueError, "path=''"),
        (lambda m: m.export("x", dtype="int4"), ValueError, "dtype='int4'"),
        (lambda m: m.export("x", candidates=0), ValueError, "candidates=0"),
    ],
)
def test_wrong_arguments_are_named(model, call, error, message):
    with pytest.raises(error, match=message):
        call(model)
