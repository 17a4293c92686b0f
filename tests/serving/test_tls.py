"""Clients of servers with a self-signed certificate that is valid for 100 years."""

from pathlib import Path

import pytest

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

from mirrorgan_tf import client as client_command  # noqa: E402
from mirrorgan_tf.errors import UserError  # noqa: E402
from tests.serving.conftest import CLIENTS, LONG_TIMEOUT_S  # noqa: E402
from tests.serving.fake_server import serve_grpc, serve_rest  # noqa: E402

FOLDER = Path(__file__).with_name("tls")
CERTIFICATE, KEY = FOLDER / "localhost.pem", FOLDER / "localhost.key"
# For the same names, by another key.
OTHER_CERTIFICATE = FOLDER / "other.pem"
LENGTHS = [1, 0, 2]


@pytest.fixture(scope="module")
def ports(session_backend):
    options = {"interface": "0.0.0.0", "certificate": CERTIFICATE, "key": KEY}
    with (
        serve_grpc(session_backend, **options) as grpc,
        serve_rest(session_backend, **options) as rest,
    ):
        yield {"grpc": grpc, "rest": rest}


@pytest.fixture
def port(kind, ports):
    return ports[kind]


def request_lengths(kind, server, timeout_s=LONG_TIMEOUT_S, **options):
    client = CLIENTS[kind](
        server, "birdlets", retries=0, timeout_s=timeout_s, **options
    )
    captions = {"caption": ["red", "", "a bird"]}
    return client.predict("embed", captions)["length"].tolist()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_server_with_trusted_certificate_answers(kind, port, name):
    server = f"{name}:{port}"
    assert request_lengths(kind, server, tls=True, tls_ca=CERTIFICATE) == LENGTHS


@pytest.mark.parametrize(
    "host, options, message",
    [
        ("localhost", {"tls": True, "tls_ca": OTHER_CERTIFICATE}, "(?i:cert)"),
        ("localhost", {"tls": True}, "(?i:cert)"),
        # This machine too, but not a name in the certificate.
        ("127.0.0.2", {"tls": True, "tls_ca": CERTIFICATE}, ""),
        # Not encrypted.
        ("localhost", {}, ""),
    ],
)
def test_untrusted_server_is_an_error_of_one_line(kind, port, host, options, message):
    with pytest.raises(UserError, match=f"^{host}:{port}: .*{message}") as failure:
        request_lengths(kind, f"{host}:{port}", timeout_s=60, **options)
    assert "\n" not in str(failure.value)


def test_https_addresses_are_encrypted(ports):
    server = f"https://localhost:{ports['rest']}"
    assert request_lengths("rest", server, tls_ca=CERTIFICATE) == LENGTHS
    with pytest.raises(UserError, match="(?i)cert"):
        request_lengths("rest", server)


def test_contradicting_flags_and_bad_files_are_one_line(kind, tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff\xfe")
    for path in (text, binary, tmp_path, tmp_path / "none.pem", KEY):
        with pytest.raises(UserError, match=f"--tls_ca={path}: ") as failure:
            request_lengths(kind, "localhost:1", tls=True, tls_ca=path)
        assert "\n" not in str(failure.value)
    with pytest.raises(UserError, match="--tls_ca is for --tls"):
        request_lengths(kind, "localhost:1", tls_ca=CERTIFICATE)
    with pytest.raises(UserError, match="http://localhost:1: --tls"):
        request_lengths("rest", "http://localhost:1", tls=True)


def test_command_uses_tls(run_command, kind, port, tmp_path):
    arguments = [
        f"--server=localhost:{port}",
        f"--rest={kind == 'rest'}",
        "--captions=a red bird",
        f"--out={tmp_path}",
        "--tls",
        f"--tls_ca={CERTIFICATE}",
        f"--timeout_s={LONG_TIMEOUT_S}",
    ]
    status, _, err = run_command(client_command, *arguments)
    assert status == 0, err
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().startswith(b"\x89PNG")
