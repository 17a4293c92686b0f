"""Requests that TensorFlow Serving replays before it serves a version."""

from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

__all__ = ["WARMUP_FILE", "write_warmup"]

# The path that TensorFlow Serving reads.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

_VALUES = {tf.string: "a bird", tf.int64: 0, tf.float32: 0.5}


def write_warmup(
    endpoints: dict, folder: Path, batches: Iterable[tuple[str, int]]
) -> None:
    """Writes requests as TFRecords of TensorFlow Serving's message PredictionLog.

    Args:
        endpoints: concrete functions by signature name.
        folder: folder of the version.
        batches: signature and number of rows of each request.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, rows in batches:
            specs = endpoints[name].structured_input_signature[1]
            inputs = {
                key: tf.make_tensor_proto([_VALUES[spec.dtype]] * rows, spec.dtype)
                for key, spec in sorted(specs.items())
            }
            writer.write(_prediction_log(name, inputs))


def _prediction_log(signature: str, inputs: dict) -> bytes:
    """A serialised PredictionLog of one request.

    It is encoded here, so that exports do not need tensorflow-serving-api. The numbers
    are those of the fields in prediction_log.proto, predict.proto and model.proto.
    """
    model_spec = _field(3, signature.encode())
    request = _field(1, model_spec)
    for name, tensor in inputs.items():
        # An entry of a map is a message of the key and the value.
        entry = _field(1, name.encode()) + _field(2, tensor.SerializeToString())
        request += _field(2, entry)
    predict_log = _field(1, request)
    return _field(6, predict_log)


def _field(number: int, content: bytes) -> bytes:
    """A protocol buffer field of bytes, text or a message; `number` is below 16."""
    wire_type = 2
    return bytes([number << 3 | wire_type]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits per byte, lowest first; the eighth bit is set if more bytes follow."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
