import shutil

import pytest
import tensorflow as tf


@pytest.fixture
def verify(run_client):
    """Runs the command: its exit status, lines and the last line of its errors."""

    def verify(*arguments):
        status, out, err = run_client(*arguments)
        return status, dict(line.split(": ", 1) for line in out), (err or [""])[-1]

    return verify


def server_flags(kind, addresses):
    return f"--server={addresses[kind]}", f"--rest={kind == 'rest'}"


def test_a_server_of_the_version_is_the_same(verify, kind, addresses, exported, loaded):
    status, lines, _ = verify(f"--verify={exported}", *server_flags(kind, addresses))
    assert lines == dict.fromkeys(loaded.signatures, "the same")
    assert status == 0


def test_differences_are_named(
    verify, kind, own_addresses, host, exported, monkeypatch
):
    predict = host.predict

    def predict_wrongly(signature, arrays):
        outputs = predict(signature, arrays)
        if signature == "seeded":
            outputs["image"][1, 2, 3, 0] ^= 1
        if signature == "redescribe":
            outputs["log_likelihood"][0] *= 1 + 2**-23
        if signature == "embed":
            outputs["words"] = outputs["words"][:, :5]
        return outputs

    monkeypatch.setattr(host, "predict", predict_wrongly)
    monkeypatch.delitem(host.signatures, "png")
    best_of = host.signatures["best_of"]
    monkeypatch.setitem(host.signatures, "worst_of", best_of)
    arguments = server_flags(kind, own_addresses)
    status, lines, _ = verify(f"--verify={exported}", *arguments)
    assert {name: line for name, line in lines.items() if line != "the same"} == {
        "embed": "words is float32 [3, 5, 8], expected float32 [3, 6, 8]",
        "png": "the server does not have it",
        "redescribe": "log_likelihood differs in 1 of 3 values",
        "seeded": "image differs in 1 of 9216 values",
        "worst_of": f"{exported} does not have it",
    }
    assert len(lines) == 10 and status == 1


def test_refused_requests_are_differences_and_requests_keep_to_max_batch(
    verify, own_addresses, host, exported, monkeypatch, tmp_path
):
    version = shutil.copytree(exported, tmp_path / "1")
    manifest = (version / "export.json").read_text()
    (version / "export.json").write_text(manifest.replace('batch": 32', 'batch": 1'))
    row_counts = set()
    predict = host.predict

    def recording_predict(signature, arrays):
        row_counts.update(len(array) for array in arrays.values())
        return predict(signature, arrays)

    monkeypatch.setattr(host, "predict", recording_predict)
    monkeypatch.setitem(host.signatures, "jpeg", host.signatures["seeded"])
    arguments = server_flags("grpc", own_addresses)
    status, lines, _ = verify(f"--verify={version}", *arguments)
    assert "input size does not match signature" in lines.pop("jpeg")
    assert set(lines.values()) == {"the same"} and row_counts == {1} and status == 1


def test_mistakes_are_one_line(verify, own_addresses, exported, tmp_path):
    server = f"--server={own_addresses['rest']}"
    for arguments, error in (
        (
            [f"--verify={tmp_path}", server],
            f"error: --verify={tmp_path}: no SavedModel",
        ),
        ([f"--verify={exported}", server, "--model=x"], "error: 127.0.0.1:"),
    ):
        status, lines, message = verify("--rest", *arguments)
        assert status == 1 and not lines and message.startswith(error)
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None])])
    tf.saved_model.save(module, tmp_path, signatures=module.serve)
    assert "export.json" in verify("--rest", f"--verify={tmp_path}", server)[2]
