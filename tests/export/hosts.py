"""Small servers over loopback that answer as TensorFlow Serving 2.20, in its words.

A session runs the model, as in TensorFlow Serving, so what the graph itself refuses it
refuses in the same words. The other words are those of TensorFlow Serving's sources:
http_rest_api_handler.cc, json_tensor.cc, predict_util.cc and saved_model/util.cc.
"""

import base64
import http.server
import json
import re
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

    def predict(self, signature_name, arrays):
        if signature_name not in self.signatures:
            raise Refusal(
                f'Serving signature key "{signature_name}" not found.',
                "FAILED_PRECONDITION",
            )
        signature = self.signatures[signature_name]
        sent, needed = set(arrays), set(signature.inputs)
        if len(sent) != len(needed):
            raise Refusal(
                f"input size does not match signature: {len(sent)}!={len(needed)} "
                f"len({_braces(sent)}) != len({_braces(needed)}). Sent extra: "
                f"{_braces(sent - needed)}. Missing but required: "
                f"{_braces(needed - sent)}."
            )
        feeds = {}
        for position, (key, info) in enumerate(sorted(signature.inputs.items())):
            if key not in arrays:
                raise Refusal(
                    f"Signature input alias: {key}(feed name: {info.name}) not found in"
                    " request and no default value provided. Inputs expected to be in "
                    f"the request {_braces(sent)}, or default input alias set: "
                )
            expected, provided = tf.as_dtype(info.dtype), _dtype(arrays[key])
            if provided != expected:
                raise Refusal(
                    f"Expects arg[{position}] to be {_type_name(expected)} but "
                    f"{_type_name(provided)} is provided"
                )
            feeds[info.name] = arrays[key]
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


def _type_name(dtype):
    return {"float32": "float", "float64": "double"}.get(dtype.name, dtype.name)


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


def serve_grpc(host):
    """Returns the address and a function that stops the server."""
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Service(host), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return f"127.0.0.1:{port}", lambda: server.stop(0).wait()


def _array(value, info):
    """A JSON value as an array, with no number taken for another sort of number."""
    dtype = tf.as_dtype(info.dtype)
    fits = {tf.string: (str,), tf.int64: (int,), tf.float32: (int, float)}[dtype]
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    leaves = []

    def fill(item, level):
        if isinstance(item, list):
            if level == len(shape):
                problem = f"level: {level} expected < {level}"
                raise Refusal(f"Encountered list at unexpected {problem}")
            if len(item) != shape[level]:
                raise Refusal(
                    f"Encountered list at unexpected size: {len(item)} at level: "
                    f"{level} expected size: {shape[level]}"
                )
            for part in item:
                fill(part, level + 1)
        elif level != len(shape):
            raise Refusal(
                f"JSON Value: {json.dumps(item)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        elif dtype == tf.string and isinstance(item, dict) and set(item) == {"b64"}:
            leaves.append(base64.b64decode(item["b64"]))
        elif type(item) not in fits:
            json_type = "String" if isinstance(item, str) else "Number"
            raise Refusal(
                f"JSON Value: {json.dumps(item)} Type: {json_type} is not of expected "
                f"type: {_type_name(dtype)}"
            )
        else:
            leaves.append(item.encode() if isinstance(item, str) else item)

    fill(value, 0)
    return np.array(leaves, dtype.as_numpy_dtype).reshape(shape)


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
        model = r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+))?"
        parts = re.fullmatch(model + ending, self.path)
        if not parts:
            raise Refusal(f"Malformed request: {self.command} {self.path}")
        if not parts[1]:
            raise Refusal("Missing model name in request.")
        self.server.host.find(parts[1], int(parts[2]) if parts[2] else None)

    def describe(self):
        self.find("(?:/metadata)?")
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
        if name not in host.signatures:
            raise Refusal(
                f'Serving signature name: "{name}" not found in signature def'
            )
        arrays = {}
        for key, info in host.signatures[name].inputs.items():
            if key not in body["inputs"]:
                raise Refusal(f"Missing named input: {key} in 'inputs' object.")
            # What the signature does not name is passed over.
            arrays[key] = _array(body["inputs"][key], info)
        outputs = {
            key: _json_value(key, value.tolist())
            for key, value in host.predict(name, arrays).items()
        }
        # A lone output comes without its name.
        alone = next(iter(outputs.values())) if len(outputs) == 1 else None
        return {"outputs": alone or outputs}

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
