import os

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import export as export_command
from mirrorgan_tf.presets import files
from mirrorgan_tf.serving import litert
from mirrorgan_tf.workdir import open_workdir
from tests.serving.test_warmup import batch_sizes

CAPTIONS, SEEDS = ["a red bird", "black wings"], [3, 4]


def seeded_images(signatures):
    return signatures["seeded"](
        caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS, tf.int64)
    )["image"].numpy()


def test_exported_model_has_the_averaged_weights(loaded, trained_model):
    expected = trained_model.generate(CAPTIONS, seed=SEEDS)
    difference = seeded_images(loaded.signatures).astype(int) - expected
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--workdir=x"], "--out is missing"),
        (["--out=x"], "--workdir and --preset are missing"),
        (["--workdir=x", "--preset=y", "--out=z"], "--preset are both given"),
        (["--workdir=x", "--out=y", "--version=0"], "--version"),
        (["--workdir=x", "--out=y", "--format=litert", "--xla"], "--xla is for"),
        (["--workdir=/nowhere", "--out=y"], "--workdir=/nowhere: no "),
        (["--preset=nowhere", "--out=y"], "--preset=nowhere: "),
    ],
)
def test_errors_are_one_line(run_command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run_command(export_command, *arguments)
    assert status == 1 and message in err[-1]
    assert "Traceback" not in "".join(err) and os.listdir(tmp_path) == []


def test_options_change_the_exported_model(
    run_command, trained_workdir, trained_model, tmp_path, caplog
):
    status, _, err = run_command(
        export_command,
        f"--workdir={trained_workdir}",
        f"--out={tmp_path}",
        "--version=5",
        "--noema",
        "--dtype=bfloat16",
        "--quantize=int8",
        "--max_batch=2",
        "--noredescription",
        "--xla",
        "--default_signature=png",
    )
    assert status == 0, err
    assert "tensorflow_model_server with --xla_cpu_compilation_enabled" in caplog.text
    assert os.listdir(tmp_path) == ["5"]
    variables = tf.train.load_checkpoint(str(tmp_path / "5/variables/variables"))
    dtypes = variables.get_variable_to_dtype_map().values()
    # Kernels are int8, other weights of the generator are bfloat16.
    assert {tf.int8, tf.bfloat16} <= set(dtypes)
    signatures = tf.saved_model.load(str(tmp_path / "5")).signatures
    assert "seeded" in signatures and "redescribe" not in signatures
    images = seeded_images(signatures).astype(int)
    models = {False: open_workdir(trained_workdir, ema=False), True: trained_model}
    errors = {
        ema: np.abs(images - model.generate(CAPTIONS, seed=SEEDS)).mean()
        for ema, model in models.items()
    }
    # The averaged and the last generator of this workdir are unrelated.
    assert 0 < errors[False] < 1
    assert errors[True] > 10 * errors[False]
    # The warm-up requests make the server compile all batch sizes.
    assert batch_sizes(tmp_path / "5") == dict.fromkeys(signatures, [1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 2 a request"):
        signatures["png"](caption=tf.constant(["a bird"] * 3))
    assert signatures["serving_default"].structured_outputs.keys() == {"image_bytes"}


def test_command_exports_a_preset_to_litert_once(
    run_command, trained_model, tmp_path, monkeypatch, caplog
):
    def convert(model, *, quantize):
        return f"{model.step}, {quantize}".encode()

    monkeypatch.setattr(files, "open_preset", {"mine": trained_model}.get)
    # test_litert.py tests the conversion, which takes long.
    monkeypatch.setattr(litert, "convert_to_litert", convert)
    out = tmp_path / "litert"
    arguments = ["--preset=mine", "--format=litert", "--quantize=int8", f"--out={out}"]
    status, _, err = run_command(export_command, *arguments)
    assert status == 0, err
    assert (out / "model.tflite").read_text() == "7, int8"
    assert (out / "tokenizer.json").is_file()
    assert "model.tflite: 0." in caplog.text
    status, _, err = run_command(export_command, *arguments)
    assert status == 1 and f"--out={out}: is not an empty folder" in err[-1]
