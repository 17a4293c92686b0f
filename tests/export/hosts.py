"""Small servers that answer as TensorFlow Serving does, over loopback."""

import base64
import contextlib
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
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_HTTP_CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "UNAVAILABLE": 503,
}


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

    def find(self, name, version):
        """Refuses what is not served here."""
        if name != self.name or version not in (None, self.version):
            asked = (
                f"Latest({name})" if version is None else f"Specific({name}, {version})"
            )
            raise Refusal("NOT_FOUND", f"Servable not found for request: {asked}")

    def receive(self):
        """Counts a request; fails or dawdles if told to."""
        self.requests += 1
        time.sleep(self.delay_s)
        if self.failures_left > 0:
            self.failures_left -= 1
            raise Refusal("UNAVAILABLE", "the host was told to fail")

    def specs(self, signature):
        """A signature's inputs and outputs; None where there is no such signature."""
        function = self.loaded.signatures.get(signature)
        if function is None:
            return None
        return function.structured_input_signature[1], function.structured_outputs

    def predict(self, signature, arrays, output_filter=()):
        """Checks in TensorFlow Serving's order, all before any work."""
        found = self.specs(signature)
        if found is None:
            raise Refusal(
                "FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.'
            )
        specs, outputs = found
        if set(arrays) != set(specs):
            raise Refusal("INVALID_ARGUMENT", _mismatch(set(arrays), set(specs)))
        for alias in output_filter:
            if alias not in outputs:
                raise Refusal(
                    "INVALID_ARGUMENT",
                    f"output tensor alias not found in signature: {alias} Outputs "
                    f"expected to be in the set {_braces(outputs)}.",
                )
        if len(set(output_filter)) < len(output_filter):
            raise Refusal("INVALID_ARGUMENT", "duplicate output tensor alias")
        tensors = {key: tf.constant(value) for key, value in arrays.items()}
        for key, spec in specs.items():
            tensor = tensors[key]
            if tensor.dtype != spec.dtype:
                raise Refusal(
                    "INVALID_ARGUMENT",
                    f"{key}: expects arg[0] to be {spec.dtype.name} but "
                    f"{tensor.dtype.name} is provided",
                )
            if not spec.shape.is_compatible_with(tensor.shape):
                raise Refusal(
                    "INVALID_ARGUMENT",
                    f"{key}: shape {tensor.shape} is incompatible with {spec.shape}",
                )
        try:
            made = self.loaded.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise Refusal("INVALID_ARGUMENT", error.message) from None
        return {
            key: value.numpy()
            for key, value in made.items()
            if not output_filter or key in output_filter
        }

    def metadata(self, fields=("signature_def",)):
        """GetModelMetadataResponse."""
        if not fields:
            raise Refusal(
                "INVALID_ARGUMENT",
                "GetModelMetadataRequest must specify at least one metadata_field",
            )
        for field in fields:
            if field != "signature_def":
                raise Refusal(
                    "INVALID_ARGUMENT", f"Metadata field {field} is not supported"
                )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name in self.loaded.signatures:
            definition = signatures.signature_def[name]
            definition.method_name = "tensorflow/serving/predict"
            sides = definition.inputs, definition.outputs
            for side, specs in zip(sides, self.specs(name), strict=True):
                for key, spec in specs.items():
                    side[key].dtype = spec.dtype.as_datatype_enum
                    side[key].tensor_shape.CopyFrom(spec.shape.as_proto())
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.metadata["signature_def"].Pack(signatures)
        return response


def _braces(names):
    return "{" + ",".join(sorted(names)) + "}"


def _mismatch(sent, needed):
    if len(sent) == len(needed):
        return (
            f"input tensor alias not found in signature: {min(sent - needed)}. "
            f"Inputs expected to be in the set {_braces(needed)}."
        )
    return (
        f"input size does not match signature: {len(sent)}!={len(needed)} "
        f"len({_braces(sent)}) != len({_braces(needed)}). "
        f"Sent extra: {_braces(sent - needed)}. "
        f"Missing but required: {_braces(needed - sent)}."
    )


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, host):
        self.host = host

    def Predict(self, request, context):  # noqa: N802
        with _aborting(context):
            self.host.receive()
            spec = self._find(request)
            signature = spec.signature_name or "serving_default"
            arrays = {}
            for key, value in request.inputs.items():
                try:
                    arrays[key] = tf.make_ndarray(value)
                except (TypeError, ValueError):
                    raise Refusal(
                        "INVALID_ARGUMENT", f"tensor parsing error: {key}"
                    ) from None
            outputs = self.host.predict(signature, arrays, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.signature_name = signature
        response.model_spec.version.value = self.host.version
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        with _aborting(context):
            self._find(request)
            return self.host.metadata(request.metadata_field)

    def _find(self, request):
        spec = request.model_spec
        if not request.HasField("model_spec"):
            raise Refusal("INVALID_ARGUMENT", "Missing ModelSpec")
        version = spec.version.value if spec.HasField("version") else None
        self.host.find(spec.name, version)
        return spec


@contextlib.contextmanager
def _aborting(context):
    try:
        yield
    except Refusal as refusal:
        context.abort(getattr(grpc.StatusCode, refusal.code), str(refusal))


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


def _is_base64(value):
    return isinstance(value, dict) and set(value) == {"b64"}


def _is_row(value):
    return isinstance(value, dict) and not _is_base64(value)


def _tensor(value, dtype):
    """JSON to an array, with no number taken for another sort of number."""

    def leaf(item):
        if _is_base64(item) and dtype == tf.string:
            return base64.b64decode(item["b64"])
        fits = {
            tf.string: isinstance(item, str),
            tf.int64: type(item) is int,
            tf.float32: type(item) in (int, float),
        }[dtype]
        if not fits:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"JSON Value: {json.dumps(item)} is not of expected type: {dtype.name}",
            )
        return item.encode() if isinstance(item, str) else item

    def walk(item):
        return [walk(part) for part in item] if isinstance(item, list) else leaf(item)

    try:
        array = np.array(walk(value), dtype.as_numpy_dtype)
        if any(isinstance(item, list) for item in array.ravel()):
            raise ValueError("lists of different depth")
    except (ValueError, OverflowError):
        raise Refusal(
            "INVALID_ARGUMENT", "Encountered list at unexpected size or level"
        ) from None
    return array


def _columns_of_rows(rows, specs):
    if not isinstance(rows, list):
        raise Refusal("INVALID_ARGUMENT", "Excepting 'instances' to be an list/array")
    if not rows:
        raise Refusal("INVALID_ARGUMENT", "No values in 'instances' array")
    if not _is_row(rows[0]):
        if len(specs) > 1:
            raise Refusal(
                "INVALID_ARGUMENT",
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map",
            )
        return {next(iter(specs)): rows}
    for number, row in enumerate(rows):
        if not _is_row(row) or set(row) != set(specs):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Failed to process element: {number} of 'instances' list. JSON object:"
                f" {json.dumps(row)} must only have keys: {','.join(sorted(specs))}",
            )
    return {key: [row[key] for row in rows] for key in specs}


def _columns(inputs, specs):
    if not _is_row(inputs):
        if len(specs) > 1:
            raise Refusal(
                "INVALID_ARGUMENT",
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map",
            )
        return {next(iter(specs)): inputs}
    for key in specs:
        if key not in inputs:
            raise Refusal(
                "INVALID_ARGUMENT", f"Missing named input: {key} in 'inputs' object."
            )
    # What the signature does not name is passed over.
    return {key: inputs[key] for key in specs}


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
        self.reply(self.describe)

    def do_POST(self):  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(lambda: self.predict(content))

    def reply(self, make):
        try:
            self.answer(200, make())
        except Refusal as refusal:
            self.answer(_HTTP_CODES[refusal.code], {"error": str(refusal)})

    def place(self, ending):
        """Name and version of the path; refuses any other path."""
        path = r"/v1/models/([^/:]+)(?:/versions/(\d+))?" + ending
        found = re.fullmatch(path, self.path)
        if not found:
            raise Refusal(
                "INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}"
            )
        return found[1], int(found[2]) if found[2] else None

    def describe(self):
        host = self.server.host
        if self.path.endswith("/metadata"):
            host.find(*self.place("/metadata"))
            # Defaults are written out, and 64-bit numbers are strings.
            return json_format.MessageToDict(
                host.metadata(),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
        name, version = self.place("")
        if name != host.name or version not in (None, host.version):
            what = "any versions" if version is None else f"version {version}"
            raise Refusal("NOT_FOUND", f"Could not find {what} of model {name}")
        state = {
            "version": str(host.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [state]}

    def predict(self, content):
        host = self.server.host
        host.receive()
        name, version = self.place(":predict")
        try:
            body = json.loads(content)
        except ValueError:
            raise Refusal("INVALID_ARGUMENT", "JSON Parse error") from None
        if not isinstance(body, dict):
            raise Refusal("INVALID_ARGUMENT", f"JSON Value: {body} Is not object")
        host.find(name, version)
        signature = body.get("signature_name") or "serving_default"
        found = host.specs(signature)
        if found is None:
            raise Refusal(
                "INVALID_ARGUMENT",
                f'Serving signature name: "{signature}" not found in signature def',
            )
        if {"instances", "inputs"} <= set(body):
            raise Refusal(
                "INVALID_ARGUMENT", "expecting only one of 'inputs' or 'instances'"
            )
        if "instances" in body:
            columns = _columns_of_rows(body["instances"], found[0])
        elif "inputs" in body:
            columns = _columns(body["inputs"], found[0])
        else:
            raise Refusal("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")
        made = host.predict(
            signature,
            {
                key: _tensor(value, found[0][key].dtype)
                for key, value in columns.items()
            },
        )
        outputs = {key: _encoded(key, value) for key, value in made.items()}
        # A lone output comes without its name.
        alone = next(iter(outputs.values())) if len(outputs) == 1 else None
        if "inputs" in body:
            return {"outputs": outputs if alone is None else alone}
        count = len(body["instances"])
        rows = [{key: outputs[key][row] for key in outputs} for row in range(count)]
        return {"predictions": rows if alone is None else alone}

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
