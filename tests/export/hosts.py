"""Small servers that answer as TensorFlow Serving does, over loopback."""

import base64
import http.server
import json
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_CODES = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503}


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Host:
    """A loaded model under a name; can be told to fail or to dawdle first."""

    def __init__(self, loaded, name="birdlets", version=1):
        self.loaded, self.name, self.version = loaded, name, version
        self.failures_left = 0
        self.delay_s = 0.0
        self.requests = 0

    def predict(self, name, version, signature, inputs):
        """inputs: from a signature's specs to tensors by name."""
        self.requests += 1
        time.sleep(self.delay_s)
        if self.failures_left > 0:
            self.failures_left -= 1
            raise Refusal("UNAVAILABLE", "the host was told to fail")
        if name != self.name or version not in (None, self.version):
            raise Refusal("NOT_FOUND", f"Servable not found for request: {name}")
        signature = signature or "serving_default"
        if signature not in self.loaded.signatures:
            raise Refusal(
                "INVALID_ARGUMENT", f"Serving signature key {signature!r} not found."
            )
        function = self.loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        tensors = inputs(specs)
        if set(tensors) != set(specs):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"input keys {sorted(tensors)}, expected {sorted(specs)}",
            )
        for key, spec in specs.items():
            value = tensors[key]
            if value.dtype != spec.dtype or not spec.shape.is_compatible_with(
                value.shape
            ):
                raise Refusal("INVALID_ARGUMENT", f"{key}: expected {spec}")
        try:
            return function(**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise Refusal("INVALID_ARGUMENT", error.message) from None


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, host):
        self.host = host

    def Predict(self, request, context):  # noqa: N802
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None

        def inputs(_):
            return {
                key: tf.constant(tf.make_ndarray(value))
                for key, value in request.inputs.items()
            }

        try:
            outputs = self.host.predict(spec.name, version, spec.signature_name, inputs)
        except Refusal as refusal:
            context.abort(getattr(grpc.StatusCode, refusal.code), str(refusal))
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec)
        for key, value in outputs.items():
            if not request.output_filter or key in request.output_filter:
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        if request.model_spec.name != self.host.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, function in self.host.loaded.signatures.items():
            definition = signatures.signature_def[name]
            specs = function.structured_input_signature[1]
            for side, infos in (
                (definition.inputs, specs),
                (definition.outputs, function.structured_outputs),
            ):
                for key, spec in infos.items():
                    side[key].dtype = spec.dtype.as_datatype_enum
                    side[key].tensor_shape.CopyFrom(spec.shape.as_proto())
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.host.name
        response.metadata["signature_def"].Pack(signatures)
        return response


def serve_grpc(host):
    """Returns the address and a function that stops the server."""
    server = grpc.server(
        futures.ThreadPoolExecutor(4),
        options=[("grpc.max_send_message_length", -1)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Service(host), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return f"127.0.0.1:{port}", lambda: server.stop(0).wait()


def _decoded(value):
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _encoded(name, array):
    """JSON of one output: `_bytes` in base64, other strings as text."""
    if array.dtype == object:
        flat = [
            {"b64": base64.b64encode(item).decode()}
            if name.endswith("_bytes")
            else item.decode()
            for item in array.ravel()
        ]
        return np.array(flat + [None], object)[:-1].reshape(array.shape).tolist()
    return array.tolist()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        host = self.server.host
        if self.path != f"/v1/models/{host.name}":
            return self.answer(404, {"error": f"Could not find {self.path}"})
        state = {"version": str(host.version), "state": "AVAILABLE"}
        return self.answer(200, {"model_version_status": [state]})

    def do_POST(self):  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.answer(200, self.predict(content))
        except Refusal as refusal:
            self.answer(_CODES[refusal.code], {"error": str(refusal)})

    def predict(self, content):
        place, _, verb = self.path.partition(":")
        parts = place.strip("/").split("/")
        if verb != "predict" or parts[:2] != ["v1", "models"]:
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
        version = int(parts[4]) if len(parts) > 4 else None
        try:
            body = json.loads(content)
        except ValueError:
            raise Refusal("INVALID_ARGUMENT", "JSON Parse error") from None
        rows = "instances" in body

        def inputs(specs):
            if rows:
                named = [
                    item
                    if isinstance(item, dict) and set(item) != {"b64"}
                    else {next(iter(specs)): item}
                    for item in body["instances"]
                ]
                columns = {key: [row[key] for row in named] for key in named[0]}
            else:
                columns = body.get("inputs")
                if not isinstance(columns, dict):
                    columns = {next(iter(specs)): columns}
            try:
                return {
                    key: tf.constant(_decoded(value), specs[key].dtype)
                    for key, value in columns.items()
                }
            except (TypeError, ValueError, KeyError) as error:
                raise Refusal("INVALID_ARGUMENT", f"{error}") from None

        outputs = {
            key: _encoded(key, value.numpy())
            for key, value in self.server.host.predict(
                parts[2], version, body.get("signature_name"), inputs
            ).items()
        }
        single = len(outputs) == 1
        if not rows:
            return {"outputs": next(iter(outputs.values())) if single else outputs}
        count = len(next(iter(outputs.values())))
        if single:
            return {"predictions": next(iter(outputs.values()))}
        return {
            "predictions": [
                {key: value[row] for key, value in outputs.items()}
                for row in range(count)
            ]
        }

    def answer(self, code, body):
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def serve_rest(host):
    """Returns the address and a function that stops the server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.host = host
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop():
        server.shutdown()
        server.server_close()

    return f"127.0.0.1:{server.server_port}", stop
