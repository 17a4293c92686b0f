import sys

import pytest
import tensorflow as tf

from export.warmup import FILE, write_warmup

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def test_every_signature_answers_its_request(exported, loaded):
    answered = set()
    for record in tf.data.TFRecordDataset(str(exported / FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        name = request.model_spec.signature_name
        inputs = {
            key: tf.constant(tf.make_ndarray(value))
            for key, value in request.inputs.items()
        }
        for output in loaded.signatures[name](**inputs).values():
            assert output.shape[0] == 1
        answered.add(name)
    assert answered == set(loaded.signatures)


def test_without_the_protos_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert not write_warmup({}, tmp_path)
    assert not list(tmp_path.iterdir())
