"""Clients against servers with a certificate of their own, valid for 100 years."""

import base64
import contextlib
import http.server
import json
import ssl
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

import grpc  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import flags  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    predict_pb2,
    prediction_service_pb2_grpc,
)

from export import client as command  # noqa: E402
from export.client import GrpcClient, RestClient  # noqa: E402
from mirrorgan_tf.commands import UserError  # noqa: E402

FOLDER = Path(__file__).with_name("tls")
CERTIFICATE, KEY = FOLDER / "localhost.pem", FOLDER / "localhost.key"
# For the same names, by another key.
OTHER_CERTIFICATE = FOLDER / "other.pem"
PNG = b"\x89PNG of a red bird"
CLIENTS = {"grpc": GrpcClient, "rest": RestClient}


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request, context):  # noqa: N802
        reply = predict_pb2.PredictResponse()
        if "seed" in request.inputs:
            reply.outputs["seed"].CopyFrom(request.inputs["seed"])
        else:
            reply.outputs["image_bytes"].CopyFrom(tf.make_tensor_proto([PNG]))
        return reply


@contextlib.contextmanager
def grpc_server():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), server
    )
    credentials = grpc.ssl_server_credentials(
        [(KEY.read_bytes(), CERTIFICATE.read_bytes())]
    )
    port = server.add_secure_port("0.0.0.0:0", credentials)
    server.start()
    yield port
    server.stop(0).wait()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        def info(dtype):
            return {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}]}}

        signatures = {
            "seeded": {"outputs": {"seed": info("DT_INT64")}},
            "png": {"outputs": {"image_bytes": info("DT_STRING")}},
        }
        self.answer({"metadata": {"signature_def": {"signature_def": signatures}}})

    def do_POST(self):  # noqa: N802
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        images = [{"b64": base64.b64encode(PNG).decode()}]
        self.answer({"outputs": request["inputs"].get("seed", images)})

    def answer(self, content):
        content = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def rest_server():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    # Clients that do not trust it break off: here that is no error.
    server.handle_error = lambda *_: None
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["grpc", "rest"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def port(kind):
    with {"grpc": grpc_server, "rest": rest_server}[kind]() as port:
        yield port


def ask(kind, server, **options):
    client = CLIENTS[kind](server, "birdlets", retries=0, timeout_s=20, **options)
    return client.predict("seeded", {"seed": np.arange(3)})["seed"].tolist()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_trusted_server_is_asked(kind, port, name):
    assert ask(kind, f"{name}:{port}", tls=True, tls_ca=CERTIFICATE) == [0, 1, 2]


@pytest.mark.parametrize("trusted", [OTHER_CERTIFICATE, None])
def test_a_server_with_another_certificate_is_not_asked(kind, port, trusted):
    with pytest.raises(UserError, match=f"^localhost:{port}: .*(?i:cert)") as caught:
        ask(kind, f"localhost:{port}", tls=True, tls_ca=trusted)
    assert "\n" not in str(caught.value)


def test_a_server_under_another_name_is_not_asked(kind, port):
    # 127.0.0.2 is this machine too, but no name in the certificate.
    with pytest.raises(UserError, match=f"^127.0.0.2:{port}: "):
        ask(kind, f"127.0.0.2:{port}", tls=True, tls_ca=CERTIFICATE)


def test_without_tls_no_answer_comes(kind, port):
    with pytest.raises(UserError, match=f"^localhost:{port}: ") as caught:
        ask(kind, f"localhost:{port}")
    assert "\n" not in str(caught.value)


def test_an_https_address_is_asked_by_tls():
    with rest_server() as port:
        server = f"https://localhost:{port}"
        assert ask("rest", server, tls_ca=CERTIFICATE) == [0, 1, 2]
        assert ask("rest", server, tls=True, tls_ca=CERTIFICATE) == [0, 1, 2]
        with pytest.raises(UserError, match="(?i)cert"):
            ask("rest", server)


def test_contradictions_and_bad_files_are_one_line(kind, tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff\xfe")
    for path in (text, binary, tmp_path, tmp_path / "none.pem", KEY):
        with pytest.raises(UserError, match=f"--tls_ca={path}: ") as caught:
            ask(kind, "localhost:1", tls=True, tls_ca=path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="--tls_ca is for --tls"):
        ask(kind, "localhost:1", tls_ca=CERTIFICATE)
    with pytest.raises(UserError, match="http://localhost:1: --tls"):
        ask("rest", "http://localhost:1", tls=True)


def run_command(*arguments):
    defined_before = set(flags.FLAGS)
    command.define_flags()
    try:
        flags.FLAGS(["client", *arguments])
        return command.main()
    finally:
        for name in set(flags.FLAGS) - defined_before:
            delattr(flags.FLAGS, name)


def test_the_command_asks_by_tls(kind, port, tmp_path):
    arguments = [
        f"--server=localhost:{port}",
        f"--rest={kind == 'rest'}",
        "--captions=a red bird",
        f"--out={tmp_path}",
        "--retries=0",
    ]
    assert not run_command(*arguments, "--tls", f"--tls_ca={CERTIFICATE}")
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == PNG
    with pytest.raises(UserError, match="(?i)cert"):
        run_command(*arguments, "--tls")
