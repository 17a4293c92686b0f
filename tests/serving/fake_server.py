"""A gRPC and REST server of an exported model, in place of TensorFlow Serving.

It answers the requests that the clients send, predictions by columns and metadata, and
refuses wrong ones with TensorFlow Serving's status codes.
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


class RefusedRequestError(Exception):
    """A refusal with the name of a gRPC status code."""

    def __init__(self, message, code="INVALID_ARGUMENT"):
        super().__init__(message)
        self.code = code


class Backend:
    """Version 1 of the model "birdlets"; waits or fails first if a test sets that."""

    def __init__(self, folder, functions):
        self.functions = dict(functions)
        content = (folder / "saved_model.pb").read_bytes()
        (meta_graph,) = SavedModel.FromString(content).meta_graphs
        self.definitions = dict(meta_graph.signature_def)
        self.reset()

    def reset(self):
        self.requests, self.delay_s = 0, 0.0
        self.failures_left, self.failure_code = 0, "UNAVAILABLE"

    def check_model(self, name, version):
        if name != "birdlets" or version not in (None, 1):
            message = f"Servable not found for request: {name} {version}"
            raise RefusedRequestError(message, "NOT_FOUND")

    def definition(self, signature):
        if signature not in self.definitions:
            message = f'Serving signature key "{signature}" not found.'
            raise RefusedRequestError(message, "FAILED_PRECONDITION")
        return self.definitions[signature]

    def receive(self):
        self.requests += 1
        time.sleep(self.delay_s)
        if self.failures_left > 0:
            self.failures_left -= 1
            raise RefusedRequestError("fails on purpose", self.failure_code)

    def predict(self, signature, inputs):
        self.definition(signature)
        try:
            tensors = {name: tf.constant(value) for name, value in inputs.items()}
            outputs = self.functions[signature](**tensors)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise RefusedRequestError(str(error)) from None
        return {name: value.numpy() for name, value in outputs.items()}

    def metadata(self):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, backend):
        self.backend = backend

    def Predict(self, request, context):  # noqa: N802
        def response():
            self.backend.receive()
            self._check_model(request.model_spec)
            inputs = {key: tf.make_ndarray(v) for key, v in request.inputs.items()}
            signature = request.model_spec.signature_name
            message = predict_pb2.PredictResponse()
            for key, value in self.backend.predict(signature, inputs).items():
                message.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return message

        return _respond_or_abort(response, context)

    def GetModelMetadata(self, request, context):  # noqa: N802
        def response():
            self._check_model(request.model_spec)
            return self.backend.metadata()

        return _respond_or_abort(response, context)

    def _check_model(self, spec):
        version = spec.version.value if spec.HasField("version") else None
        self.backend.check_model(spec.name, version)


def _respond_or_abort(response, context):
    try:
        return response()
    except RefusedRequestError as error:
        context.abort(getattr(grpc.StatusCode, error.code), str(error))


@contextlib.contextmanager
def serve_grpc(backend, *, interface="127.0.0.1", certificate=None, key=None):
    """Yields the port; encrypts if there is a certificate, a PEM file."""
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Service(backend), server
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


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self._respond(self._metadata)

    def do_POST(self):  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(lambda: self._predict(json.loads(content)))

    def _respond(self, response):
        try:
            code, body = 200, response()
        except RefusedRequestError as error:
            code, body = _HTTP_CODES.get(error.code, 400), {"error": str(error)}
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _check_model(self, ending):
        path = r"/v1/models/([^/:]+)(?:/versions/(\d+))?"
        name, version = re.fullmatch(path + ending, self.path).groups()
        self.server.backend.check_model(name, int(version) if version else None)

    def _metadata(self):
        self._check_model("/metadata")
        # Like TensorFlow Serving: with default values, and 64-bit numbers as strings.
        return json_format.MessageToDict(
            self.server.backend.metadata(),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )

    def _predict(self, body):
        backend = self.server.backend
        backend.receive()
        self._check_model(":predict")
        infos = backend.definition(body["signature_name"]).inputs
        inputs = {
            name: np.array(_from_json(body["inputs"][name]), _numpy_dtype(info))
            for name, info in infos.items()
            if name in body["inputs"]
        }
        outputs = {
            name: _to_json(name, value.tolist())
            for name, value in backend.predict(body["signature_name"], inputs).items()
        }
        # TensorFlow Serving leaves out the name of a single output.
        return {"outputs": outputs if len(outputs) > 1 else [*outputs.values()][0]}

    def log_message(self, *_):
        pass


def _numpy_dtype(info):
    return tf.as_dtype(info.dtype).as_numpy_dtype


def _from_json(value):
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _to_json(name, value):
    """Strings as text, but those of outputs named `..._bytes` in base64."""
    if isinstance(value, list):
        return [_to_json(name, item) for item in value]
    if not isinstance(value, bytes):
        return value
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(value).decode()}
    return value.decode()


@contextlib.contextmanager
def serve_rest(backend, *, interface="127.0.0.1", certificate=None, key=None):
    """Yields the port; encrypts if there is a certificate, a PEM file."""
    server = http.server.ThreadingHTTPServer((interface, 0), _Handler)
    server.backend = backend
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        # Clients that do not trust the certificate close the connection.
        server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
