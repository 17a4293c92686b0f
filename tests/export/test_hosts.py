"""The hosts answer as TensorFlow Serving's sources and documents say it does."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

import grpc  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.export.hosts import Host, serve_grpc, serve_rest  # noqa: E402


class Doubler(tf.Module):
    """One input, one output; and two of each."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def one(self, text):
        self.calls.assign_add(1)
        return {"twice_bytes": text + text}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.int64, name="number"),
        ]
    )
    def two(self, text, number):
        self.calls.assign_add(1)
        tf.debugging.assert_less(number, tf.constant(100, tf.int64), "too big")
        return {"twice": text + text, "half": tf.cast(number, tf.float32) / 2}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    path = tmp_path_factory.mktemp("doubler")
    module = Doubler()
    tf.saved_model.save(
        module, path, signatures={"serving_default": module.one, "two": module.two}
    )
    return Host(tf.saved_model.load(path), "doubler", version=3)


@pytest.fixture(scope="module")
def stub(host):
    address, stop = serve_grpc(host)
    with grpc.insecure_channel(address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    stop()


@pytest.fixture(scope="module")
def url(host):
    address, stop = serve_rest(host)
    yield f"http://{address}/v1/models/doubler"
    stop()


def request(signature="", name="doubler", version=None, **inputs):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = name
    asked.model_spec.signature_name = signature
    if version is not None:
        asked.model_spec.version.value = version
    for key, value in inputs.items():
        asked.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return asked


def refusal(call, asked):
    with pytest.raises(grpc.RpcError) as failure:
        call(asked)
    return failure.value.code().name, failure.value.details()


def test_predict_answers_by_the_default_signature(stub):
    for version in (None, 3):
        reply = stub.Predict(request(version=version, text=[b"\xff", b""]))
        assert tf.make_ndarray(reply.outputs["twice_bytes"]).tolist() == [
            b"\xff" * 2,
            b"",
        ]
        assert reply.model_spec.signature_name == "serving_default"
        assert reply.model_spec.version.value == 3


def test_an_output_filter_leaves_the_rest_out(stub):
    asked = request("two", text=["a"], number=np.array([3]))
    asked.output_filter.append("half")
    reply = stub.Predict(asked)
    assert list(reply.outputs) == ["half"]
    assert tf.make_ndarray(reply.outputs["half"]) == [1.5]
    asked.output_filter[:] = ["none"]
    assert refusal(stub.Predict, asked) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: none Outputs expected to be in "
        "the set {half,twice}.",
    )


@pytest.mark.parametrize(
    "asked, code, said",
    [
        (request(name="other"), "NOT_FOUND", "for request: Latest(other)"),
        (request(version=4), "NOT_FOUND", "for request: Specific(doubler, 4)"),
        (request("no", text=["a"]), "FAILED_PRECONDITION", 'key "no" not found.'),
        (
            request("two", text=["a"]),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({text}) != "
            "len({number,text}). Sent extra: {}. Missing but required: {number}.",
        ),
        (
            request(text=["a"], more=["a"]),
            "INVALID_ARGUMENT",
            "Sent extra: {more}. Missing but required: {}.",
        ),
        (
            request(words=["a"]),
            "INVALID_ARGUMENT",
            "input tensor alias not found in signature: words. Inputs expected to be "
            "in the set {text}.",
        ),
        (request(text=[1.0]), "INVALID_ARGUMENT", "to be string but float32"),
        (request(text="a"), "INVALID_ARGUMENT", "incompatible"),
        (request(text=[["a"]]), "INVALID_ARGUMENT", "incompatible"),
    ],
)
def test_what_is_malformed_is_refused_before_any_work(host, stub, asked, code, said):
    before = host.loaded.calls.numpy()
    refused = refusal(stub.Predict, asked)
    assert refused[0] == code and said in refused[1]
    assert host.loaded.calls.numpy() == before


def test_a_broken_tensor_is_refused(stub):
    asked = request("two", text=["a"], number=np.array([3]))
    asked.inputs["number"].tensor_content = b"abc"
    assert refusal(stub.Predict, asked) == (
        "INVALID_ARGUMENT",
        "tensor parsing error: number",
    )


def test_the_models_own_errors_arrive(stub):
    code, said = refusal(
        stub.Predict, request("two", text=["a"], number=np.array([100]))
    )
    assert code == "INVALID_ARGUMENT" and "too big" in said


def test_metadata(stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest()
    asked.model_spec.name = "doubler"
    assert refusal(stub.GetModelMetadata, asked)[0] == "INVALID_ARGUMENT"
    asked.metadata_field.append("signature_def")
    reply = stub.GetModelMetadata(asked)
    assert reply.model_spec.version.value == 3
    signatures = get_model_metadata_pb2.SignatureDefMap()
    reply.metadata["signature_def"].Unpack(signatures)
    two = signatures.signature_def["two"]
    assert two.inputs["number"].dtype == tf.int64.as_datatype_enum
    assert [dim.size for dim in two.outputs["half"].tensor_shape.dim] == [-1]
    asked.model_spec.name = "other"
    assert refusal(stub.GetModelMetadata, asked)[0] == "NOT_FOUND"


def fetch(url, body=None):
    content = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content)) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    "body, answer",
    [
        # A lone output comes bare, several as objects (rows) or by name (columns);
        # base64 for names that end in _bytes, and never for others.
        ({"instances": ["a"]}, {"predictions": [{"b64": "YWE="}]}),
        ({"instances": [{"text": "a"}]}, {"predictions": [{"b64": "YWE="}]}),
        ({"instances": [{"b64": "YQ=="}]}, {"predictions": [{"b64": "YWE="}]}),
        (
            {"instances": [{"text": {"b64": "YQ=="}}]},
            {"predictions": [{"b64": "YWE="}]},
        ),
        ({"inputs": ["a"]}, {"outputs": [{"b64": "YWE="}]}),
        ({"inputs": {"text": ["a"]}}, {"outputs": [{"b64": "YWE="}]}),
        ({"inputs": {"text": []}}, {"outputs": []}),
        (
            {"signature_name": "two", "instances": [{"text": "a", "number": 3}]},
            {"predictions": [{"twice": "aa", "half": 1.5}]},
        ),
        (
            {"signature_name": "two", "inputs": {"text": ["a"], "number": [3]}},
            {"outputs": {"twice": ["aa"], "half": [1.5]}},
        ),
    ],
)
def test_rest_formats(url, body, answer):
    assert fetch(f"{url}:predict", body) == (200, answer)
    assert fetch(f"{url}/versions/3:predict", body) == (200, answer)


@pytest.mark.parametrize(
    "body, said",
    [
        ([], "Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": ["a"], "inputs": ["a"]}, "only one of"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": "a"}, "to be an list/array"),
        ({"instances": [{"words": "a"}]}, "must only have keys: text"),
        ({"inputs": {"words": ["a"]}}, "Missing named input: text"),
        ({"instances": [1]}, "JSON Value: 1 is not of expected type: string"),
        ({"inputs": [["a"]]}, "incompatible"),
        ({"inputs": [["a"], "b"]}, "Encountered list at unexpected"),
        ({"signature_name": "no", "inputs": ["a"]}, 'signature name: "no" not found'),
        ({"signature_name": "two", "instances": ["a"]}, "instances is a plain list"),
        ({"signature_name": "two", "inputs": ["a"]}, "inputs is a plain value/list"),
        (
            {"signature_name": "two", "inputs": {"text": ["a"], "number": [1.5]}},
            "JSON Value: 1.5 is not of expected type: int64",
        ),
        (
            {"signature_name": "two", "inputs": {"text": ["a"], "number": [100]}},
            "too big",
        ),
    ],
)
def test_rest_refuses(url, body, said):
    status, reply = fetch(f"{url}:predict", body)
    assert status == 400 and list(reply) == ["error"] and said in reply["error"]


def test_rest_status_and_metadata(url):
    status, reply = fetch(url)
    assert status == 200
    (version,) = reply["model_version_status"]
    assert version["version"] == "3" and version["state"] == "AVAILABLE"
    assert version["status"] == {"error_code": "OK", "error_message": ""}
    status, reply = fetch(f"{url}/versions/3/metadata")
    assert status == 200
    assert reply["model_spec"]["version"] == "3"
    two = reply["metadata"]["signature_def"]["signature_def"]["two"]
    assert two["inputs"]["number"]["dtype"] == "DT_INT64"
    assert two["outputs"]["half"]["tensor_shape"]["dim"][0]["size"] == "-1"


@pytest.mark.parametrize("place", ["", "/metadata", ":predict"])
@pytest.mark.parametrize("path", ["/versions/4", "x"])
def test_rest_finds_only_what_it_has(url, path, place):
    body = {"inputs": ["a"]} if place == ":predict" else None
    status, reply = fetch(url + path + place, body)
    assert status == 404 and list(reply) == ["error"]


def test_rest_refuses_other_paths(url):
    for place, body in ((":sing", {}), ("/labels", None)):
        status, reply = fetch(url + place, body)
        assert status == 400 and reply["error"].startswith("Malformed request: ")
