"""The hosts say what TensorFlow Serving 2.20 says, word for word."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

from export.client import GrpcClient  # noqa: E402
from mirrorgan_tf.commands import UserError  # noqa: E402
from tests.export.hosts import Host, serve_grpc, serve_rest  # noqa: E402

TEXT = tf.TensorSpec([None], tf.string, name="text")
NUMBER = tf.TensorSpec([None], tf.int64, name="number")


class Doubler(tf.Module):
    """One input, one output; and two of each."""

    @tf.function(input_signature=[TEXT])
    def one(self, text):
        return {"twice_bytes": tf.strings.join([tf.concat([text, [""]], 0)] * 2)}

    @tf.function(input_signature=[TEXT, NUMBER])
    def two(self, text, number):
        with tf.control_dependencies(
            [tf.debugging.assert_less(number, tf.constant(100, tf.int64), "too big")]
        ):
            return {"twice": text + text, "half": tf.cast(number, tf.float32) / 2}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    path = tmp_path_factory.mktemp("doubler")
    module = Doubler()
    signatures = {"serving_default": module.one, "two": module.two}
    tf.saved_model.save(module, path, signatures=signatures)
    return Host(path, "doubler", version=3)


@pytest.fixture(scope="module")
def grpc_address(host):
    address, stop = serve_grpc(host)
    yield address
    stop()


@pytest.fixture(scope="module")
def url(host):
    address, stop = serve_rest(host)
    yield f"http://{address}/v1/models"
    stop()


NOT_FOUND = "NOT_FOUND: Servable not found for request: "


@pytest.mark.parametrize(
    "model, version, signature, inputs, message",
    [
        ("other", None, "two", {"text": ["a"]}, NOT_FOUND + "Latest(other)"),
        ("doubler", 4, "two", {"text": ["a"]}, NOT_FOUND + "Specific(doubler, 4)"),
        (
            *("doubler", None, "no", {"text": ["a"]}),
            'FAILED_PRECONDITION: Serving signature key "no" not found.',
        ),
        (
            *("doubler", 3, "two", {"text": ["a"]}),
            "INVALID_ARGUMENT: input size does not match signature: 1!=2 len({text}) "
            "!= len({number,text}). Sent extra: {}. Missing but required: {number}.",
        ),
        (
            *("doubler", None, "serving_default", {"words": ["a"]}),
            "INVALID_ARGUMENT: Signature input alias: text(feed name: "
            "serving_default_text:0) not found in request and no default value "
            "provided. Inputs expected to be in the request {words}, or default input "
            "alias set:",
        ),
        (
            *("doubler", None, "serving_default", {"text": np.float32([1])}),
            "INVALID_ARGUMENT: Expects arg[0] to be string but float is provided",
        ),
        (
            *("doubler", None, "serving_default", {"text": [["a"]]}),
            "INVALID_ARGUMENT: ConcatOp : Ranks of all input tensors should match: "
            "shape[0] = [1,1] vs. shape[1] = [1]",
        ),
        (
            *("doubler", None, "serving_default", {"text": "a"}),
            "INVALID_ARGUMENT: ConcatOp : Can't concatenate scalars",
        ),
        ("doubler", None, "two", {"text": ["a"], "number": np.array([100])}, "too big"),
    ],
)
def test_grpc_refuses(grpc_address, model, version, signature, inputs, message):
    client = GrpcClient(grpc_address, model, version)
    with pytest.raises(UserError) as failure:
        client.predict(signature, inputs)
    assert message in str(failure.value)


def fetch(url, body=None):
    content = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content)) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    "signature, inputs, outputs",
    [
        # A lone output comes bare; base64 for names that end in _bytes alone.
        (
            "serving_default",
            {"text": [{"b64": "YQ=="}]},
            [{"b64": "YWE="}, {"b64": ""}],
        ),
        ("two", {"text": ["a"], "number": [3]}, {"twice": ["aa"], "half": [1.5]}),
    ],
)
def test_rest_answers_columns(url, signature, inputs, outputs):
    body = {"signature_name": signature, "inputs": inputs}
    assert fetch(f"{url}/doubler:predict", body) == (200, {"outputs": outputs})
    assert fetch(f"{url}/doubler/versions/3:predict", body)[0] == 200


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("no", {}, 'Serving signature name: "no" not found in signature def'),
        ("two", {"text": ["a"]}, "Missing named input: number in 'inputs' object."),
        (
            *("serving_default", {"text": [1]}),
            "JSON Value: 1 Type: Number is not of expected type: string",
        ),
        (
            *("two", {"text": ["a"], "number": [1.5]}),
            "JSON Value: 1.5 Type: Number is not of expected type: int64",
        ),
        (
            *("serving_default", {"text": [["a"], "b"]}),
            'JSON Value: "b" found at incorrect level: 2 in the JSON DOM. Expected at '
            "level: 2",
        ),
        (
            *("serving_default", {"text": [["a"], ["b", "c"]]}),
            "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
        ),
        ("serving_default", {"text": [["a"]]}, "ConcatOp : Ranks of all input tensors"),
        ("serving_default", {"text": "a"}, "ConcatOp : Can't concatenate scalars"),
        ("two", {"text": ["a"], "number": [100]}, "too big"),
    ],
)
def test_rest_refuses(url, signature, inputs, message):
    body = {"signature_name": signature, "inputs": inputs}
    status, reply = fetch(f"{url}/doubler:predict", body)
    assert status == 400 and message in reply["error"]


def test_rest_refuses_other_paths(url):
    missing = "Missing model name in request."
    assert fetch(url) == (400, {"error": missing})
    assert fetch(f"{url}/doubler/labels") == (
        400,
        {"error": "Malformed request: GET /v1/models/doubler/labels"},
    )
    assert fetch(f"{url}/doubler/versions/4/metadata")[0] == 404
