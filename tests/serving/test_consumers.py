import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

CONSUMER = Path(__file__).parent / "consumer.py"
CAPTIONS = ["a red bird with black wings", "", "black", "a bird"]
SEEDS = [7, -3, 0, 2**63 - 1]


@pytest.mark.slow
def test_process_with_tensorflow_alone_gives_the_same_images(
    exported, loaded, tmp_path
):
    inputs = {
        "caption": tf.constant(CAPTIONS),
        "caption_from": tf.constant(CAPTIONS),
        "caption_to": tf.constant(CAPTIONS),
        "seed": tf.constant(SEEDS, tf.int64),
        "weight": tf.constant([0.0, 0.5, 1.0, 0.2]),
    }
    arrays = {f"input {name}": value.numpy() for name, value in inputs.items()}
    for name in ("seeded", "redescribe", "best_of", "interpolate"):
        signature = loaded.signatures[name]
        specs = signature.structured_input_signature[1]
        outputs = signature(**{key: inputs[key] for key in specs})
        arrays[f"images {name}"] = outputs["image"].numpy()
    np.savez(tmp_path / "expected.npz", **arrays)
    process = subprocess.run(
        [sys.executable, str(CONSUMER), str(exported), "expected.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr


def test_tf_data_maps_a_signature(loaded):
    seeded = loaded.signatures["seeded"]
    captions, seeds = tf.constant(CAPTIONS), tf.constant(SEEDS, tf.int64)
    images = seeded(caption=captions, seed=seeds)["image"]
    rows = tf.data.Dataset.from_tensor_slices({"caption": captions, "seed": seeds})
    mapped = rows.batch(2).map(lambda batch: seeded(**batch)["image"]).unbatch()
    np.testing.assert_array_equal(np.stack(list(mapped.as_numpy_iterator())), images)


def test_keras_layer_calls_a_signature(exported, loaded):
    embed = keras.layers.TFSMLayer(str(exported), call_endpoint="embed")
    captions = keras.Input((), dtype="string")
    sentence = embed(captions)["sentence"]
    model = keras.Model(captions, keras.layers.Dense(2, use_bias=False)(sentence))
    expected = loaded.signatures["embed"](caption=tf.constant(CAPTIONS))["sentence"]
    np.testing.assert_allclose(
        model(tf.constant(CAPTIONS)),
        expected @ model.layers[-1].kernel.value,
        rtol=1e-5,
    )
