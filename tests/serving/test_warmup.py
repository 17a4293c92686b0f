import collections

import pytest
import tensorflow as tf

from mirrorgan_tf.serving.warmup import WARMUP_FILE

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def warmup_logs(version):
    """The warm-up file, parsed by TensorFlow Serving's own classes."""
    return [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE))
    ]


def row_count(request):
    (rows,) = {value.tensor_shape.dim[0].size for value in request.inputs.values()}
    return rows


def batch_sizes(version):
    """Numbers of rows of the requests, by signature."""
    sizes = collections.defaultdict(list)
    for log in warmup_logs(version):
        request = log.predict_log.request
        sizes[request.model_spec.signature_name].append(row_count(request))
    return sizes


def test_every_signature_has_requests(exported, loaded):
    sizes = batch_sizes(exported)
    # A request of 32 rows lets TensorFlow allocate the memory for the largest batch.
    assert sizes.pop("serving_default") == [1, 32]
    assert sizes == dict.fromkeys(set(loaded.signatures) - {"serving_default"}, [1])


def test_requests_equal_those_of_tensorflow_servings_classes(exported, loaded):
    values = {"caption": "a bird", "weight": 0.5, "seed": 0}
    for log in warmup_logs(exported):
        name = log.predict_log.request.model_spec.signature_name
        rows = row_count(log.predict_log.request)
        specs = loaded.signatures[name].structured_input_signature[1]
        inputs = {
            key: tf.constant([values[key.split("_")[0]]] * rows, spec.dtype)
            for key, spec in specs.items()
        }
        expected = prediction_log_pb2.PredictionLog()
        expected.predict_log.request.model_spec.signature_name = name
        for key, value in inputs.items():
            proto = tf.make_tensor_proto(value)
            expected.predict_log.request.inputs[key].CopyFrom(proto)
        assert log == expected
        for output in loaded.signatures[name](**inputs).values():
            assert output.shape[0] == rows
