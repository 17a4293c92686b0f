import sys

import pytest
import tensorflow as tf

from export.warmup import FILE, write_warmup

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def test_every_signature_answers_its_request(exported, loaded):
    answered = set()
    sizes = []
    for record in tf.data.TFRecordDataset(str(exported / FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        name = request.model_spec.signature_name
        inputs = {
            key: tf.constant(tf.make_ndarray(value))
            for key, value in request.inputs.items()
        }
        for output in loaded.signatures[name](**inputs).values():
            assert output.shape[0] == len(next(iter(inputs.values())))
        answered.add(name)
        sizes += [len(inputs["caption"])] if name == "serving_default" else []
    assert answered == set(loaded.signatures)
    # Memory is asked for, and paths for large batches are chosen, before it counts.
    assert sizes == [1, 32]


def test_without_the_protos_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert not write_warmup({}, tmp_path, 32)
    assert not list(tmp_path.iterdir())
