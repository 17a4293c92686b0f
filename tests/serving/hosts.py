"""Small servers that answer the clients as TensorFlow Serving 2.20 does.

A session runs the model, as in TensorFlow Serving, so what the graph itself refuses is
refused in the same words. Other refusals have the status codes of TensorFlow Serving,
and over gRPC its words (predict_util.cc).
"""

import base64
import contextlib
import http.server
import json
import re
import ssl
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_HTTP_CODES = {"NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503}


class Refusal(Exception):
    """A request that is not answered, by a gRPC status and a message."""

    def __init__(self, message, code="INVALID_ARGUMENT"):
        super().__init__(message)
        self.code = code


class Host:
    """A SavedModel under a name; fails or waits first, if asked to."""

    def __init__(self, folder, name="birdlets", version=1):
        self.name, self.version = name, version
        self.reset()
        (meta_graph,) = SavedModel.FromString(
            (folder / "saved_model.pb").read_bytes()
        ).meta_graphs
        self.signatures = dict(meta_graph.signature_def)
        for node in meta_graph.graph_def.node:
            # Python's session checks shapes; TensorFlow Serving leaves them to the ops.
            if node.op == "Placeholder":
                node.attr["shape"].shape.CopyFrom(tf.TensorShape(None).as_proto())
                node.attr.pop("_output_shapes", None)
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
        self.session = tf.compat.v1.Session(graph=graph)
        saver = meta_graph.saver_def
        path = str(folder / "variables" / "variables")
        self.session.run(saver.restore_op_name, {saver.filename_tensor_name: path})
        init_op = "__saved_model_init_op"
        self.session.run(self.signatures[init_op].outputs[init_op].name)

    def reset(self):
        self.requests, self.delay_s = 0, 0.0
        self.failures_left, self.failure_code = 0, "UNAVAILABLE"

    def find(self, name, version):
        if name != self.name or version not in (None, self.version):
            servable = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise Refusal(f"Servable not found for request: {servable}", "NOT_FOUND")

    def receive(self):
        self.requests += 1
        time.sleep(self.delay_s)
        if self.failures_left > 0:
            self.failures_left -= 1
            raise Refusal("the host fails on purpose", self.failure_code)

    def find_signature(self, name):
        if name not in self.signatures:
            message = f'Serving signature key "{name}" not found.'
            raise Refusal(message, "FAILED_PRECONDITION")
        return self.signatures[name]

    def predict(self, signature_name, arrays):
        signature = self.find_signature(signature_name)
        sent, needed = set(arrays), set(signature.inputs)
        if sent != needed:
            raise Refusal(
                f"input size does not match signature: {len(sent)}!={len(needed)}. "
                f"Sent extra: {_braces(sent - needed)}. Missing but required: "
                f"{_braces(needed - sent)}."
            )
        for key, info in signature.inputs.items():
            # The session would convert numbers, and TensorFlow Serving does not.
            expected, provided = tf.as_dtype(info.dtype), _dtype(arrays[key])
            if provided != expected:
                raise Refusal(
                    f"Expects {key} to be {expected.name} but {provided.name} is "
                    "provided"
                )
        feeds = {info.name: arrays[key] for key, info in signature.inputs.items()}
        outputs = {key: info.name for key, info in signature.outputs.items()}
        try:
            return self.session.run(outputs, feeds)
        except tf.errors.InvalidArgumentError as error:
            # The first line is added by Python's session.
            message = error.message.removeprefix("Graph execution error:\n\n")
            raise Refusal(message) from None

    def metadata(self):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.metadata["signature_def"].Pack(signatures)
        return response


def _braces(names):
    return "{" + ",".join(sorted(names)) + "}"


def _dtype(array):
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, host):
        self.host = host

    def Predict(self, request, context):  # noqa: N802
        def answer():
            self.host.receive()
            self._find(request)
            arrays = {key: tf.make_ndarray(v) for key, v in request.inputs.items()}
            name = request.model_spec.signature_name or "serving_default"
            response = predict_pb2.PredictResponse()
            for key, value in self.host.predict(name, arrays).items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return response

        return _answer_or_abort(answer, context)

    def GetModelMetadata(self, request, context):  # noqa: N802
        def answer():
            self._find(request)
            return self.host.metadata()

        return _answer_or_abort(answer, context)

    def _find(self, request):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        self.host.find(spec.name, version)


def _answer_or_abort(answer, context):
    try:
        return answer()
    except Refusal as refusal:
        context.abort(getattr(grpc.StatusCode, refusal.code), str(refusal))


@contextlib.contextmanager
def serve_grpc(host, *, interface="127.0.0.1", certificate=None, key=None):
    """Yields the port; encrypts if there is a certificate, a PEM file."""
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Service(host), server
    )
    if certificate:
        credentials = grpc.ssl_server_credentials(
            [(key.read_bytes(), certificate.read_bytes())]
        )
        port = server.add_secure_port(f"{interface}:0", credentials)
    else:
        port = server.add_insecure_port(f"{interface}:0")
    server.start()
    yield port
    server.stop(0).wait()


def _array(value, info):
    """A JSON value as an array, with no number taken for another sort of number."""
    dtype = tf.as_dtype(info.dtype)
    types = {tf.string: (str,), tf.int64: (int,), tf.float32: (int, float)}[dtype]

    def convert(item):
        if isinstance(item, list):
            return [convert(part) for part in item]
        if dtype == tf.string and isinstance(item, dict) and set(item) == {"b64"}:
            return base64.b64decode(item["b64"])
        if type(item) not in types:
            raise Refusal(
                f"JSON Value: {json.dumps(item)} is not of expected type: {dtype.name}"
            )
        return item.encode() if isinstance(item, str) else item

    return np.array(convert(value), dtype.as_numpy_dtype)


def _json_value(name, value):
    """A list of an output's values: `_bytes` in base64, other strings as text."""
    if isinstance(value, list):
        return [_json_value(name, item) for item in value]
    if not isinstance(value, bytes):
        return value
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return value.decode()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Of predictions by columns and of metadata: what `RestClient` asks for."""

    def do_GET(self):  # noqa: N802
        self.reply(self.describe)

    def do_POST(self):  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(lambda: self.predict(json.loads(content)))

    def reply(self, answer):
        try:
            code, body = 200, answer()
        except Refusal as refusal:
            code, body = _HTTP_CODES.get(refusal.code, 400), {"error": str(refusal)}
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def find(self, ending):
        model = r"/v1/models/([^/:]+)(?:/versions/(\d+))?"
        parts = re.fullmatch(model + ending, self.path)
        self.server.host.find(parts[1], int(parts[2]) if parts[2] else None)

    def describe(self):
        self.find("/metadata")
        # Defaults are written out, and 64-bit numbers are strings.
        return json_format.MessageToDict(
            self.server.host.metadata(),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )

    def predict(self, body):
        host = self.server.host
        host.receive()
        self.find(":predict")
        name = body["signature_name"]
        arrays = {
            key: _array(body["inputs"][key], info)
            for key, info in host.find_signature(name).inputs.items()
            # What the signature does not name is passed over.
            if key in body["inputs"]
        }
        outputs = {
            key: _json_value(key, value.tolist())
            for key, value in host.predict(name, arrays).items()
        }
        # A lone output comes without its name.
        alone = next(iter(outputs.values())) if len(outputs) == 1 else None
        return {"outputs": alone or outputs}

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve_rest(host, *, interface="127.0.0.1", certificate=None, key=None):
    """Yields the port; encrypts if there is a certificate, a PEM file."""
    server = http.server.ThreadingHTTPServer((interface, 0), _Handler)
    server.host = host
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        # Clients that do not trust the certificate break off: here that is no error.
        server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
