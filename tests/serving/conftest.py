import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

from mirrorgan_tf import client

# On a busy machine the first call of a signature takes longer than the default timeout.
LONG_TIMEOUT_S = 600

CLIENTS = {"grpc": client.GrpcClient, "rest": client.RestClient}


@pytest.fixture(scope="session")
def session_backend(exported, loaded):
    pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")
    from tests.serving.fake_server import Backend

    return Backend(exported, loaded.signatures)


@pytest.fixture
def backend(session_backend):
    """The backend of the fake server, reset so that no other test's failures remain."""
    session_backend.reset()
    yield session_backend
    session_backend.reset()


@pytest.fixture(scope="session")
def fake_addresses(session_backend):
    from tests.serving.fake_server import serve_grpc, serve_rest

    with serve_grpc(session_backend) as grpc, serve_rest(session_backend) as rest:
        yield {"grpc": f"127.0.0.1:{grpc}", "rest": f"127.0.0.1:{rest}"}


@pytest.fixture(scope="session")
def real_addresses(exported):
    """Addresses of TensorFlow Serving, where it is installed."""
    binary = os.environ.get("TENSORFLOW_MODEL_SERVER") or shutil.which(
        "tensorflow_model_server"
    )
    if binary is None:
        pytest.skip("no tensorflow_model_server in PATH or TENSORFLOW_MODEL_SERVER")
    ports = {"grpc": free_port(), "rest": free_port()}
    server = subprocess.Popen(
        [
            binary,
            f"--port={ports['grpc']}",
            f"--rest_api_port={ports['rest']}",
            "--model_name=birdlets",
            f"--model_base_path={exported.parent}",
        ]
    )
    addresses = {kind: f"127.0.0.1:{port}" for kind, port in ports.items()}
    metadata = f"http://{addresses['rest']}/v1/models/birdlets/metadata"
    for _ in range(240):
        # Metadata are available as soon as a version is loaded.
        with contextlib.suppress(OSError), urllib.request.urlopen(metadata):
            break
        assert server.poll() is None, f"the server ended: {server.returncode}"
        time.sleep(0.5)
    yield addresses
    assert server.poll() is None, f"the server ended: {server.returncode}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="session", params=["fake", "real"])
def addresses(request):
    return request.getfixturevalue(f"{request.param}_addresses")


@pytest.fixture(scope="session", params=["grpc", "rest"])
def kind(request):
    return request.param


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
