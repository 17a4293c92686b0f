import http.server
import threading
import urllib.request

import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.serving.addresses import parse_server


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("server", "url", "grpc"),
    [
        ("host:8501", "http://host:8501", "host:8501"),
        ("http://host:8501/", "http://host:8501", "host:8501"),
        ("host:8501//", "http://host:8501", "host:8501"),
        ("host", "http://host", "host"),
        ("https://host/below/", "https://host/below", None),
        (" [::1]:8501/ ", "http://[::1]:8501", "[::1]:8501"),
    ],
)
def test_addresses_with_and_without_scheme(server, url, grpc):
    assert parse_server(server).url == url
    if grpc is None:
        with pytest.raises(UserError, match="gRPC takes HOST:PORT alone"):
            parse_server(server, grpc=True)
    else:
        assert parse_server(server, grpc=True).host_and_port == grpc


@pytest.mark.parametrize(
    "server",
    ["", "/", "http://", "host:port", "host:99999", "ftp://host", "a b:1", "h:1?x=2"],
)
def test_other_text_is_refused(server):
    with pytest.raises(UserError, match="must be HOST:PORT"):
        parse_server(server)


def test_description_names_the_proxy_but_not_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy:3128")
    remote = parse_server("http://far:8501/")
    for grpc in (False, True):
        text = remote.describe(grpc=grpc)
        assert text.startswith("far:8501 (through the proxy proxy:3128")
        assert "http_proxy" in text and "no_proxy=far" in text
        assert "secret" not in text
        assert parse_server("localhost:8501").describe(grpc=grpc) == "localhost:8501"
    monkeypatch.setenv("no_proxy", "far")
    assert remote.describe(grpc=False) == "far:8501"


class _HelloHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_is_used_for_this_machine(host, monkeypatch):
    # Nothing listens there.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with http.server.HTTPServer(("127.0.0.1", 0), _HelloHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = parse_server(f"{host}:{server.server_port}/")
        request = urllib.request.Request(address.url)
        assert address.open_url(request, 10).read() == b"hello"
