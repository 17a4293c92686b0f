"""Requests that TensorFlow Serving replays before a version answers others."""

from pathlib import Path

import tensorflow as tf

__all__ = ["FILE", "warmup_inputs", "write_warmup"]

# TensorFlow Serving looks for this very place.
FILE = "assets.extra/tf_serving_warmup_requests"

_VALUES = {tf.string: "a bird", tf.int64: 0, tf.float32: 0.5}


def write_warmup(endpoints: dict, folder: Path, max_batch: int) -> bool:
    """Writes a request of one row for each signature, and the default's largest.

    Args:
        endpoints: concrete functions by signature name.
        folder: of the version.
        max_batch: rows of the largest request.

    Returns:
        False, and nothing written, without tensorflow-serving-api.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        return False
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        batches = [(name, 1) for name in sorted(endpoints)]
        for name, rows in [*batches, ("serving_default", max_batch)]:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in warmup_inputs(endpoints[name], rows).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
    return True


def warmup_inputs(
    endpoint: tf.types.experimental.ConcreteFunction, rows: int = 1
) -> dict:
    """Rows for each input of a signature, by name."""
    specs = endpoint.structured_input_signature[1]
    return {
        name: tf.constant([_VALUES[spec.dtype]] * rows, spec.dtype)
        for name, spec in specs.items()
    }
