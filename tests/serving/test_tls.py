"""Clients against servers with a certificate of their own, valid for 100 years."""

from pathlib import Path

import pytest

pytest.importorskip("tensorflow_serving", reason="extra serving is not installed")

from mirrorgan_tf.errors import UserError  # noqa: E402
from tests.serving.conftest import CLIENTS  # noqa: E402
from tests.serving.hosts import serve_grpc, serve_rest  # noqa: E402

FOLDER = Path(__file__).with_name("tls")
CERTIFICATE, KEY = FOLDER / "localhost.pem", FOLDER / "localhost.key"
# For the same names, by another key.
OTHER_CERTIFICATE = FOLDER / "other.pem"
LENGTHS = [1, 0, 2]


@pytest.fixture(scope="module")
def ports(session_host):
    options = {"interface": "0.0.0.0", "certificate": CERTIFICATE, "key": KEY}
    with (
        serve_grpc(session_host, **options) as grpc,
        serve_rest(session_host, **options) as rest,
    ):
        yield {"grpc": grpc, "rest": rest}


@pytest.fixture
def port(kind, ports):
    return ports[kind]


def ask(kind, server, **options):
    client = CLIENTS[kind](server, "birdlets", retries=0, timeout_s=20, **options)
    captions = {"caption": ["red", "", "a bird"]}
    return client.predict("embed", captions)["length"].tolist()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_trusted_server_is_asked(kind, port, name):
    assert ask(kind, f"{name}:{port}", tls=True, tls_ca=CERTIFICATE) == LENGTHS


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


def test_an_https_address_is_asked_by_tls(ports):
    server = f"https://localhost:{ports['rest']}"
    assert ask("rest", server, tls_ca=CERTIFICATE) == LENGTHS
    assert ask("rest", server, tls=True, tls_ca=CERTIFICATE) == LENGTHS
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


def test_the_command_asks_by_tls(run_client, kind, port, tmp_path):
    arguments = [
        f"--server=localhost:{port}",
        f"--rest={kind == 'rest'}",
        "--captions=a red bird",
        f"--out={tmp_path}",
        "--retries=0",
    ]
    status, _, err = run_client(*arguments, "--tls", f"--tls_ca={CERTIFICATE}")
    assert status == 0, err
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().startswith(b"\x89PNG")
    status, _, err = run_client(*arguments, "--tls")
    assert status == 1 and "cert" in err[-1].lower()
