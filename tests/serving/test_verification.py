import shutil

import pytest
import tensorflow as tf

from mirrorgan_tf import client as client_command
from tests.serving.conftest import LONG_TIMEOUT_S


@pytest.fixture
def verify(run_command, kind):
    """Returns exit status, lines by signature and the last line of the errors."""

    def verify(folder, addresses, *arguments):
        status, out, err = run_command(
            client_command,
            f"--verify={folder}",
            f"--server={addresses[kind]}",
            f"--rest={kind == 'rest'}",
            f"--timeout_s={LONG_TIMEOUT_S}",
            *arguments,
        )
        return status, dict(line.split(": ", 1) for line in out), (err or [""])[-1]

    return verify


def test_server_of_the_same_version_does_not_differ(
    verify, addresses, exported, loaded
):
    status, lines, _ = verify(exported, addresses)
    assert lines == dict.fromkeys(loaded.signatures, "the same")
    assert status == 0


def test_differences_are_named(verify, fake_addresses, backend, exported, monkeypatch):
    predict = backend.predict

    def predict_wrongly(signature, inputs):
        outputs = predict(signature, inputs)
        if signature == "seeded":
            outputs["image"] = outputs["image"].copy()
            outputs["image"][1, 2, 3, 0] ^= 1
        if signature == "redescribe":
            outputs["log_likelihood"] = outputs["log_likelihood"].copy()
            outputs["log_likelihood"][0] *= 1 + 2**-23
        if signature == "embed":
            outputs["words"] = outputs["words"][:, :5]
        return outputs

    monkeypatch.setattr(backend, "predict", predict_wrongly)
    monkeypatch.delitem(backend.definitions, "png")
    best_of = backend.definitions["best_of"]
    monkeypatch.setitem(backend.definitions, "worst_of", best_of)
    status, lines, _ = verify(exported, fake_addresses)
    assert {name: line for name, line in lines.items() if line != "the same"} == {
        "embed": "words is float32 [3, 5, 8], expected float32 [3, 6, 8]",
        "png": "the server does not have it",
        "redescribe": "log_likelihood differs in 1 of 3 values",
        "seeded": "image differs in 1 of 9216 values",
        "worst_of": f"{exported} does not have it",
    }
    assert len(lines) == 10 and status == 1


def test_requests_have_at_most_max_batch_rows(
    verify, fake_addresses, backend, exported, monkeypatch, tmp_path
):
    version = shutil.copytree(exported, tmp_path / "1")
    manifest = (version / "export.json").read_text()
    (version / "export.json").write_text(manifest.replace('batch": 32', 'batch": 1'))
    row_counts = set()
    predict = backend.predict

    def recording_predict(signature, inputs):
        row_counts.update(len(value) for value in inputs.values())
        return predict(signature, inputs)

    monkeypatch.setattr(backend, "predict", recording_predict)
    status, lines, _ = verify(version, fake_addresses)
    assert set(lines.values()) == {"the same"} and row_counts == {1} and status == 0


def test_errors_are_one_line(verify, fake_addresses, exported, tmp_path):
    for folder, arguments, error in (
        (tmp_path, [], f"error: --verify={tmp_path}: no SavedModel"),
        (exported, ["--model=x"], "error: 127.0.0.1:"),
    ):
        status, lines, message = verify(folder, fake_addresses, *arguments)
        assert status == 1 and not lines and message.startswith(error)
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None])])
    tf.saved_model.save(module, tmp_path, signatures=module.serve)
    assert "export.json" in verify(tmp_path, fake_addresses)[2]
