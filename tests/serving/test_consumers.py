import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

CONSUMER = Path(__file__).parent / "consumer.py"
CAPTIONS = ["a red bird with black wings", "", "black"]
SEEDS = [7, -3, 2**63 - 1]


@pytest.fixture(scope="module")
def seeded(loaded):
    return loaded.signatures["seeded"]


@pytest.fixture(scope="module")
def images(seeded):
    return seeded(caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS, tf.int64))[
        "image"
    ].numpy()


@pytest.mark.slow
def test_it_serves_where_only_tensorflow_is(exported, tmp_path):
    answers = []
    for text_by in ("package", "ops"):
        out = tmp_path / f"{text_by}.npz"
        done = subprocess.run(
            [sys.executable, str(CONSUMER), str(exported), text_by, str(out)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["served"]
        answers.append(np.load(out))
    # Another start changes nothing.
    assert set(answers[0]) == {"seeded", "best", "words"}
    for name, array in answers[0].items():
        np.testing.assert_array_equal(array, answers[1][name])


def test_a_pipeline_may_map_it(seeded, images):
    rows = tf.data.Dataset.from_tensor_slices(
        {"caption": CAPTIONS, "seed": tf.constant(SEEDS, tf.int64)}
    )
    made = rows.batch(2).map(lambda batch: seeded(**batch)["image"]).unbatch()
    np.testing.assert_array_equal(np.stack(list(made.as_numpy_iterator())), images)


def test_it_is_part_of_a_larger_function(seeded, images):
    @tf.function
    def brightness(captions, seeds):
        made = seeded(caption=tf.strings.lower(captions), seed=seeds)["image"]
        return tf.reduce_mean(tf.cast(made, tf.float32), [1, 2, 3])

    shouted = tf.constant([caption.upper() for caption in CAPTIONS])
    np.testing.assert_allclose(
        brightness(shouted, tf.constant(SEEDS, tf.int64)),
        images.mean((1, 2, 3)),
        rtol=1e-5,
    )


def test_it_is_a_keras_layer(exported):
    embed = keras.layers.TFSMLayer(str(exported), call_endpoint="embed")
    captions = keras.Input((), dtype="string")
    sentence = embed(captions)["sentence"]
    model = keras.Model(captions, keras.layers.Dense(2, use_bias=False)(sentence))
    expected = tf.saved_model.load(str(exported)).signatures["embed"]
    expected = expected(caption=tf.constant(CAPTIONS))["sentence"]
    np.testing.assert_allclose(
        model(tf.constant(CAPTIONS)),
        expected @ model.layers[-1].kernel.value,
        rtol=1e-5,
    )
    made = keras.layers.TFSMLayer(str(exported), call_endpoint="serving_default")
    assert made(tf.constant(CAPTIONS))["image"].shape == (3, 32, 32, 3)


CLI = (
    "import sys, tensorflow_text\n"
    "from tensorflow.python.tools.saved_model_cli import main\n"
    "sys.exit(main())"
)


def saved_model_cli(*arguments):
    done = subprocess.run(
        # TF Text registers the tokenizer's ops; the tool alone does not know them.
        [sys.executable, "-c", CLI, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cli_shows_and_runs_it(exported, tmp_path):
    shown = saved_model_cli("show", "--dir", exported, "--all")
    for line in (
        "signature_def['best_of']:",
        "inputs['caption_from'] tensor_info:",
        "outputs['image_bytes'] tensor_info:",
        "outputs['word_attention_16'] tensor_info:",
        "shape: (-1, 32, 32, 3)",
        "Method name is: tensorflow/serving/predict",
    ):
        assert line in shown
    saved_model_cli(
        *("run", "--dir", exported, "--tag_set", "serve", "--signature_def", "png"),
        *("--input_exprs", "caption=['red', '']"),
        *("--outdir", tmp_path),
    )
    files = np.load(tmp_path / "image_bytes.npy", allow_pickle=True)
    assert [content[:4] for content in files] == [b"\x89PNG"] * 2
