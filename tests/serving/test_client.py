import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

from mirrorgan_tf.client import GrpcClient, RestClient  # noqa: E402
from mirrorgan_tf.errors import UserError  # noqa: E402
from tests.conftest import OTHER_KERAS_SETTINGS  # noqa: E402
from tests.serving.conftest import CLIENTS, free_port, real_server  # noqa: E402
from tests.serving.hosts import Host, serve_grpc  # noqa: E402

ROOT = Path(__file__).parents[2]
CAPTIONS = ["a red bird with black wings", "", "black"]
SEEDS = np.array([7, -3, 2**63 - 1])


def test_a_real_server_that_dies_is_noticed(tmp_path):
    with pytest.raises(ChildProcessError, match="status 1"):
        real_server("false", tmp_path)


@pytest.fixture
def client(kind, addresses):
    return CLIENTS[kind](addresses[kind], "birdlets")


@pytest.fixture
def own_client(kind, own_addresses):
    """Makes clients of the server that can fail and wait."""

    def own_client(**options):
        return CLIENTS[kind](own_addresses[kind], "birdlets", **options)

    return own_client


def test_answers_are_the_models(client, loaded):
    inputs = {"caption": CAPTIONS, "seed": SEEDS}
    for name in ("seeded", "redescribe", "best_of", "explain"):
        expected = loaded.signatures[name](
            caption=tf.constant(CAPTIONS), seed=tf.constant(SEEDS)
        )
        answer = client.predict(name, inputs)
        assert set(answer) == set(expected)
        for key, value in expected.items():
            value = value.numpy()
            assert answer[key].dtype == value.dtype
            np.testing.assert_array_equal(answer[key], value)


def test_files_and_embeddings_travel(client, loaded):
    files = client.predict("png", {"caption": CAPTIONS})["image_bytes"]
    assert [tf.io.decode_png(content).shape for content in files] == [(32, 32, 3)] * 3
    image = client.predict("serving_default", {"caption": ["a"]})["image"]
    assert image.shape == (1, 32, 32, 3)
    words = client.predict("embed", {"caption": CAPTIONS})["words"]
    expected = loaded.signatures["embed"](caption=tf.constant(CAPTIONS))["words"]
    np.testing.assert_allclose(words, expected, rtol=1e-6)


def test_no_captions_are_answered_without_the_server(own_client, host, loaded):
    client = own_client()
    no_rows = {"caption": [], "seed": np.array([], np.int64)}
    for name in ("seeded", "png", "redescribe", "explain"):
        specs = loaded.signatures[name].structured_input_signature[1]
        answer = client.predict(name, {key: no_rows[key] for key in specs})
        outputs = loaded.signatures[name].structured_outputs
        assert set(answer) == set(outputs)
        for key, spec in outputs.items():
            assert answer[key].shape == (0, *spec.shape[1:]), key
            assert answer[key].dtype == spec.dtype.as_numpy_dtype
    for signature, inputs, problem in (
        ("nonsense", no_rows, "there is no signature nonsense"),
        ("png", no_rows, "signature png takes caption, not caption, seed"),
        ("seeded", no_rows | {"seed": SEEDS}, "seed has rows, another input has none"),
    ):
        with pytest.raises(UserError, match=problem):
            client.predict(signature, inputs)
    assert host.requests == 0


def test_a_path_between_captions(client):
    ends = {"caption_from": ["red"] * 2, "caption_to": ["black"] * 2}
    numbers = {"weight": np.array([0, 1], np.float32), "seed": np.array([1, 1])}
    images = client.predict("interpolate", ends | numbers)["image"]
    assert images.shape == (2, 32, 32, 3) and (images[0] != images[1]).any()


def test_any_bytes_are_a_caption(client):
    captions = [b"\xff\xfe red", b"a bird", b"\x00"]
    lengths = client.predict("embed", {"caption": captions})["length"]
    assert lengths.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("nonsense", {"caption": ["a"]}, "nonsense"),
        ("seeded", {"caption": ["a"]}, "seed"),
        ("png", {"caption": [["a"]]}, "Ranks of all input tensors should match"),
        ("png", {"caption": ["a"] * 33}, "at most 32 a request"),
        ("seeded", {"caption": ["a"], "seed": np.array([1.5])}, "xpect.* int64"),
    ],
)
def test_malformed_requests_are_refused_in_one_line(client, signature, inputs, message):
    with pytest.raises(UserError, match=message) as failure:
        client.predict(signature, inputs)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("model, version", [("parrots", None), ("birdlets", 9)])
def test_an_unknown_model_or_version_is_named(kind, addresses, model, version):
    with pytest.raises(UserError, match=f"(NOT_FOUND|404).*{version or model}"):
        CLIENTS[kind](addresses[kind], model, version).predict(
            "png", {"caption": ["a"]}
        )
    known = CLIENTS[kind](addresses[kind], "birdlets", 1)
    assert known.predict("png", {"caption": ["a"]})


def post(addresses, body):
    url = f"http://{addresses['rest']}/v1/models/birdlets:predict"
    request = urllib.request.Request(url, json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def test_rests_row_format(real_addresses, loaded):
    rows = [{"caption": "red", "seed": 1}, {"caption": "black", "seed": 2}]
    reply = post(real_addresses, {"signature_name": "best_of", "instances": rows})
    expected = loaded.signatures["best_of"](
        caption=tf.constant(["red", "black"]), seed=tf.constant([1, 2], tf.int64)
    )
    assert [row["seed"] for row in reply["predictions"]] == expected[
        "seed"
    ].numpy().tolist()
    body = {"signature_name": "png", "instances": ["red", "a bird"]}
    bare = post(real_addresses, body)
    assert [set(row) for row in bare["predictions"]] == [{"b64"}] * 2


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_busy_server_is_asked_again(own_client, host, code):
    host.failures_left, host.failure_code = 2, code
    assert len(own_client().predict("png", {"caption": ["a"]})["image_bytes"]) == 1
    assert host.requests == 3


@pytest.mark.parametrize(
    "signature, options, message, most_requests",
    [
        # What is wrong is not asked again.
        ("nonsense", {}, "nonsense", 1),
        ("png", {"retries": 1}, r"on purpose \(2 tries", 2),
        # Waits of 0.1 s and more that double end with the time for all tries.
        ("png", {"timeout_s": 0.7, "retries": 999}, "on purpose .*--timeout_s", 4),
    ],
)
def test_tries_end(own_client, host, signature, options, message, most_requests):
    host.failures_left = 0 if signature == "nonsense" else 1000
    with pytest.raises(UserError, match=message):
        own_client(**options).predict(signature, {"caption": ["a"]})
    assert options.get("retries") == 999 or host.requests == most_requests
    assert host.requests <= most_requests


def test_the_deadline_holds_for_all_tries(own_client, host):
    host.delay_s = 3.0
    start = time.monotonic()
    with pytest.raises(UserError, match="(DEADLINE_EXCEEDED|in time).*--timeout_s"):
        own_client(timeout_s=0.5).predict("png", {"caption": ["a"]})
    assert time.monotonic() - start < 2.5


@contextlib.contextmanager
def answering_server(answer):
    """Yields the address of a server that gives its first connection to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_an_answer_in_drops_meets_the_deadline():
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)

    with answering_server(drip) as address:
        client = RestClient(address, "birdlets", timeout_s=0.5)
        start = time.monotonic()
        with pytest.raises(UserError, match="no answer in time"):
            client.predict("png", {"caption": ["a"]})
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("answer", [b"220 mail\r\n", b"HTTP/1.1 200 OK\r\n\r\n<p>"])
def test_a_server_of_another_kind_is_named(answer):
    def greet(connection):
        connection.recv(1 << 16)
        connection.sendall(answer)

    with answering_server(greet) as address:
        with pytest.raises(UserError, match=f"^{address}: .*8501"):
            RestClient(address, "birdlets").predict("png", {"caption": ["a"]})


@pytest.mark.parametrize("server", ["127.0.0.1:port", "a b:1", "ftp://x"])
def test_a_bad_address_is_one_line(server):
    with pytest.raises(UserError) as failure:
        RestClient(server, "birdlets").predict("png", {"caption": ["a"]})
    assert str(failure.value).startswith(f"--server={server}: ")


def test_asking_by_rest_needs_no_tensorflow():
    program = (
        "import sys, mirrorgan_tf.client; mirrorgan_tf.client.RestClient('x:1', 'y'); "
        "assert not {'tensorflow', 'keras', 'grpc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_stopped_server_is_named(kind):
    address = f"127.0.0.1:{free_port()}"
    client = CLIENTS[kind](address, "birdlets", retries=1, timeout_s=5)
    with pytest.raises(UserError, match=f"^{address}: .*is it running"):
        client.predict("png", {"caption": ["a"]})


class Big(tf.Module):
    """Answers with 6 MB."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="caption")])
    def serve(self, caption):
        return {"image": tf.zeros([tf.size(caption), 1000, 2000, 3], tf.uint8)}


def test_replies_beyond_4_mb_pass(tmp_path):
    big = Big()
    tf.saved_model.save(big, tmp_path, signatures={"serving_default": big.serve})
    with serve_grpc(Host(tmp_path)) as port:
        client = GrpcClient(f"127.0.0.1:{port}", "birdlets")
        answer = client.predict("serving_default", {"caption": ["a"]})
    assert answer["image"].nbytes == 6_000_000


def test_the_shell_gets_pictures(kind, own_addresses, host, tmp_path):
    arguments = [
        f"--server={own_addresses[kind]}",
        f"--rest={kind == 'rest'}",
        "--signature=best_of",
        "--captions_file=-",
        "--batch_size=2",
        f"--out={tmp_path}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.client", *arguments],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        input="a red bird\nblack\n\nWings!\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert host.requests == 2
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "0001-a-red-bird.png",
        "0002-black.png",
        "0003-wings.png",
    ]
    for file in files:
        with Image.open(file) as image:
            assert image.size == (32, 32)
    assert done.stdout.count("log likelihood -") == 3
    assert "3/3" in done.stderr and "images/s" in done.stderr


def test_the_command_draws_a_path_between_captions(
    run_client, own_addresses, tmp_path, loaded
):
    status, out, err = run_client(
        f"--server={own_addresses['rest']}",
        "--rest",
        "--signature=interpolate",
        "--captions=red",
        "--captions=black",
        "--steps=3",
        "--seed=7",
        f"--out={tmp_path}",
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
        with Image.open(file) as drawn:
            np.testing.assert_array_equal(np.asarray(drawn), image)


def test_the_commands_mistakes_are_one_line(run_client, tmp_path):
    for arguments, message in (
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
    ):
        status, _, err = run_client(*arguments, f"--out={tmp_path}")
        assert status == 1 and err[-1].startswith("error: ") and message in err[-1]
        assert "Traceback" not in "".join(err)
