import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from mirrorgan_tf import client, commands

CLIENTS = {"grpc": client.GrpcClient, "rest": client.RestClient}


@pytest.fixture(scope="session")
def session_host(exported):
    pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")
    from tests.serving.hosts import Host

    return Host(exported)


@pytest.fixture
def host(session_host):
    """The host as new, before and after the test."""
    session_host.reset()
    yield session_host
    session_host.reset()


@pytest.fixture(scope="session")
def own_addresses(session_host):
    from tests.serving.hosts import serve_grpc, serve_rest

    with serve_grpc(session_host) as grpc, serve_rest(session_host) as rest:
        yield {"grpc": f"127.0.0.1:{grpc}", "rest": f"127.0.0.1:{rest}"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def real_server(binary, folder):
    """Starts TensorFlow Serving; the process, and its addresses once it answers."""
    ports = {"grpc": free_port(), "rest": free_port()}
    server = subprocess.Popen(
        [
            binary,
            f"--port={ports['grpc']}",
            f"--rest_api_port={ports['rest']}",
            "--model_name=birdlets",
            f"--model_base_path={folder}",
        ]
    )
    addresses = {kind: f"127.0.0.1:{port}" for kind, port in ports.items()}
    deadline = time.monotonic() + 120
    # Metadata are those of a loaded version.
    metadata = f"http://{addresses['rest']}/v1/models/birdlets/metadata"
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(metadata):
            return server, addresses
        if server.poll() is not None:
            raise ChildProcessError(f"the server died, status {server.returncode}")
        if time.monotonic() > deadline:
            server.kill()
            raise TimeoutError("the server does not answer in two minutes")
        time.sleep(0.5)


@pytest.fixture(scope="session")
def real_addresses(exported):
    binary = os.environ.get("TENSORFLOW_MODEL_SERVER") or shutil.which(
        "tensorflow_model_server"
    )
    if binary is None:
        pytest.skip("there is no tensorflow_model_server (PATH or its variable)")
    server, addresses = real_server(binary, exported.parent)
    yield addresses
    died = server.poll() is not None
    server.terminate()
    server.wait()
    assert not died, f"the server died, status {server.returncode}"


@pytest.fixture(scope="session", params=["own", "real"])
def addresses(request):
    return request.getfixturevalue(f"{request.param}_addresses")


@pytest.fixture(scope="session", params=["grpc", "rest"])
def kind(request):
    return request.param


@pytest.fixture
def run_client(monkeypatch, capsys):
    """Runs the command here: its exit status, and its lines of output and of errors."""

    def run_client(*arguments):
        monkeypatch.setattr(sys, "argv", ["client", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            commands.run(client.main, client.define_flags)
        captured = capsys.readouterr()
        return exit.value.code, captured.out.splitlines(), captured.err.splitlines()

    return run_client
