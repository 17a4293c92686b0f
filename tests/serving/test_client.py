import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

from mirrorgan_tf import client as client_command  # noqa: E402
from mirrorgan_tf.client import GrpcClient, RestClient  # noqa: E402
from mirrorgan_tf.errors import UserError  # noqa: E402
from tests.conftest import OTHER_KERAS_SETTINGS, ROOT  # noqa: E402
from tests.serving.conftest import CLIENTS, LONG_TIMEOUT_S, free_port  # noqa: E402
from tests.serving.fake_server import Backend, serve_grpc  # noqa: E402

CAPTIONS = ["a red bird with black wings", "", "black"]
SEEDS = np.array([7, -3, 2**63 - 1])


@pytest.fixture
def client(kind, addresses):
    return CLIENTS[kind](addresses[kind], "birdlets", timeout_s=LONG_TIMEOUT_S)


@pytest.fixture
def fake_client(kind, fake_addresses):
    """Creates clients of the fake server."""

    def fake_client(**options):
        options = {"timeout_s": LONG_TIMEOUT_S} | options
        return CLIENTS[kind](fake_addresses[kind], "birdlets", **options)

    return fake_client


def test_outputs_equal_those_of_the_loaded_model(client, loaded):
    inputs = {"caption": CAPTIONS, "seed": SEEDS}
    for name in ("seeded", "redescribe", "best_of", "explain"):
        expected = loaded.signatures[name](
            caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS)
        )
        outputs = client.predict(name, inputs)
        assert set(outputs) == set(expected)
        for key, value in expected.items():
            value = value.numpy()
            assert outputs[key].dtype == value.dtype
            np.testing.assert_array_equal(outputs[key], value)


def test_files_weights_and_bytes_that_are_no_text_are_transferred(client):
    files = client.predict("png", {"caption": CAPTIONS})["image_bytes"]
    assert [tf.io.decode_png(content).shape for content in files] == [(32, 32, 3)] * 3
    images = client.predict(
        "interpolate",
        {
            "caption_from": ["red"] * 2,
            "caption_to": ["black"] * 2,
            "weight": np.array([0, 1], np.float32),
            "seed": np.array([1, 1]),
        },
    )["image"]
    assert images.shape == (2, 32, 32, 3) and (images[0] != images[1]).any()
    captions = [b"\xff\xfe red", b"a bird", b"\x00"]
    lengths = client.predict("embed", {"caption": captions})["length"]
    assert lengths.tolist() == [1, 2, 0]


def test_requests_without_rows_are_not_sent(fake_client, backend, loaded):
    client = fake_client()
    no_rows = {"caption": [], "seed": np.array([], np.int64)}
    for name in ("seeded", "png", "redescribe", "explain"):
        specs = loaded.signatures[name].structured_input_signature[1]
        outputs = client.predict(name, {key: no_rows[key] for key in specs})
        expected = loaded.signatures[name].structured_outputs
        assert set(outputs) == set(expected)
        for key, spec in expected.items():
            assert outputs[key].shape == (0, *spec.shape[1:]), key
            assert outputs[key].dtype == spec.dtype.as_numpy_dtype
    for signature, inputs, problem in (
        ("nonsense", no_rows, "there is no signature nonsense"),
        ("png", no_rows, "signature png takes caption, not caption, seed"),
        ("seeded", no_rows | {"seed": SEEDS}, "seed has rows, another input has none"),
    ):
        with pytest.raises(UserError, match=problem):
            client.predict(signature, inputs)
    assert backend.requests == 0


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("nonsense", {"caption": ["a"]}, "nonsense"),
        ("seeded", {"caption": ["a"]}, "seed"),
        ("png", {"caption": ["a"] * 33}, "at most 32 a request"),
    ],
)
def test_refused_requests_are_one_line(client, signature, inputs, message):
    with pytest.raises(UserError, match=message) as failure:
        client.predict(signature, inputs)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("model, version", [("parrots", None), ("birdlets", 9)])
def test_unknown_models_and_versions_are_named(kind, addresses, model, version):
    options = {"timeout_s": LONG_TIMEOUT_S}
    unknown = CLIENTS[kind](addresses[kind], model, version, **options)
    with pytest.raises(UserError, match=f"(NOT_FOUND|404).*{version or model}"):
        unknown.predict("png", {"caption": ["a"]})
    known = CLIENTS[kind](addresses[kind], "birdlets", 1, **options)
    assert known.predict("png", {"caption": ["a"]})


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_requests_are_repeated_while_the_server_is_busy(fake_client, backend, code):
    backend.failures_left, backend.failure_code = 2, code
    assert len(fake_client().predict("png", {"caption": ["a"]})["image_bytes"]) == 1
    assert backend.requests == 3


@pytest.mark.parametrize(
    "signature, options, message, most_requests",
    [
        # Requests that the server refuses as wrong are not repeated.
        ("nonsense", {}, "nonsense", 1),
        ("png", {"retries": 1}, r"on purpose \(2 tries", 2),
        # The waits begin at 0.1 s or more and double, so that few fit into 0.7 s.
        ("png", {"timeout_s": 0.7, "retries": 999}, "on purpose .*--timeout_s", 4),
    ],
)
def test_requests_are_not_repeated_for_ever(
    fake_client, backend, signature, options, message, most_requests
):
    backend.failures_left = 0 if signature == "nonsense" else 1000
    with pytest.raises(UserError, match=message):
        fake_client(**options).predict(signature, {"caption": ["a"]})
    assert options.get("retries") == 999 or backend.requests == most_requests
    assert backend.requests <= most_requests


def test_timeout_includes_all_tries(fake_client, backend):
    backend.delay_s = 3.0
    with pytest.raises(UserError, match="(DEADLINE_EXCEEDED|in time).*--timeout_s"):
        fake_client(timeout_s=0.5).predict("png", {"caption": ["a"]})


@contextlib.contextmanager
def answering_server(answer):
    """Yields the address of a server that passes its first connection to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_timeout_holds_for_an_answer_that_arrives_byte_by_byte():
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)

    with answering_server(drip) as address:
        client = RestClient(address, "birdlets", timeout_s=0.5)
        with pytest.raises(UserError, match="no answer in time"):
            client.predict("png", {"caption": ["a"]})


@pytest.mark.parametrize("answer", [b"220 mail\r\n", b"HTTP/1.1 200 OK\r\n\r\n<p>"])
def test_servers_of_another_kind_are_named(answer):
    def greet(connection):
        # A connection that is closed with unread data is reset, and the answer lost.
        request = b""
        while b"caption" not in request:
            request += connection.recv(1 << 16)
        connection.sendall(answer)

    with answering_server(greet) as address:
        with pytest.raises(UserError, match=f"^{address}: .*8501"):
            client = RestClient(address, "birdlets", retries=0, timeout_s=5)
            client.predict("png", {"caption": ["a"]})


def test_stopped_server_is_named(kind):
    address = f"127.0.0.1:{free_port()}"
    client = CLIENTS[kind](address, "birdlets", retries=1, timeout_s=5)
    with pytest.raises(UserError, match=f"^{address}: .*is it running"):
        client.predict("png", {"caption": ["a"]})


def test_rest_client_imports_no_tensorflow():
    program = (
        "import sys, mirrorgan_tf.client; mirrorgan_tf.client.RestClient('x:1', 'y'); "
        "assert not {'tensorflow', 'keras', 'grpc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


class LargeModel(tf.Module):
    """Returns 6 MB."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="caption")])
    def serve(self, caption):
        return {"image": tf.zeros([tf.size(caption), 1000, 2000, 3], tf.uint8)}


def test_grpc_replies_may_exceed_4_mb(tmp_path):
    model = LargeModel()
    signatures = {"serving_default": model.serve.get_concrete_function()}
    tf.saved_model.save(model, tmp_path, signatures=signatures)
    with serve_grpc(Backend(tmp_path, signatures)) as port:
        client = GrpcClient(f"127.0.0.1:{port}", "birdlets", timeout_s=LONG_TIMEOUT_S)
        outputs = client.predict("serving_default", {"caption": ["a"]})
    assert outputs["image"].nbytes == 6_000_000


def test_command_writes_one_file_per_caption(fake_addresses, backend, tmp_path):
    arguments = [
        f"--server={fake_addresses['rest']}",
        "--rest",
        "--signature=best_of",
        "--captions_file=-",
        "--batch_size=2",
        f"--out={tmp_path}",
        f"--timeout_s={LONG_TIMEOUT_S}",
    ]
    process = subprocess.run(
        [sys.executable, "-m", "export.client", *arguments],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        input="a red bird\nblack\n\nWings!\n",
        capture_output=True,
        text=True,
        timeout=LONG_TIMEOUT_S,
    )
    assert process.returncode == 0, process.stderr
    assert backend.requests == 2
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "0001-a-red-bird.png",
        "0002-black.png",
        "0003-wings.png",
    ]
    for file in files:
        with Image.open(file) as image:
            assert image.size == (32, 32)
    assert process.stdout.count("log likelihood -") == 3
    assert "3/3" in process.stderr and "images/s" in process.stderr


def test_command_interpolates_between_two_captions(
    run_command, fake_addresses, tmp_path, loaded
):
    status, out, err = run_command(
        client_command,
        f"--server={fake_addresses['grpc']}",
        "--signature=interpolate",
        "--captions=red",
        "--captions=black",
        "--steps=3",
        "--seed=7",
        f"--out={tmp_path}",
        f"--timeout_s={LONG_TIMEOUT_S}",
    )
    assert status == 0, err
    expected = loaded.signatures["interpolate"](
        caption_from=tf.constant(["red"] * 3),
        caption_to=tf.constant(["black"] * 3),
        weight=tf.constant([0, 0.5, 1]),
        seed=tf.constant([7] * 3, tf.int64),
    )["image"]
    assert [line.split(" -> ")[0] for line in out] == [
        "red to black 0.00",
        "red to black 0.50",
        "red to black 1.00",
    ]
    for file, image in zip(sorted(tmp_path.iterdir()), expected, strict=True):
        with Image.open(file) as written:
            np.testing.assert_array_equal(np.asarray(written), image)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--server is missing"),
        (["--server=127.0.0.1:1"], "no caption"),
        (
            ["--server=x", "--rest", "--captions=a", "--signature=interpolate"],
            "--signature=interpolate: needs two captions, not 1",
        ),
        (
            ["--server=127.0.0.1:1", "--rest", "--captions=a", "--retries=0"],
            "127.0.0.1:1: ",
        ),
    ],
)
def test_errors_of_the_command_are_one_line(run_command, tmp_path, arguments, message):
    status, _, err = run_command(client_command, *arguments, f"--out={tmp_path}")
    assert status == 1 and err[-1].startswith("error: ") and message in err[-1]
    assert "Traceback" not in "".join(err)
