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
def test_a_server_is_an_address_or_a_url(server, url, grpc):
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
def test_what_is_no_address_is_refused(server):
    with pytest.raises(UserError, match="must be HOST:PORT"):
        parse_server(server)


def test_errors_name_the_proxy_and_how_to_do_without(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy:3128")
    far = parse_server("http://far:8501/")
    for grpc in (False, True):
        text = far.describe(grpc=grpc)
        assert text.startswith("far:8501 (asked through the proxy proxy:3128")
        assert "http_proxy" in text and "no_proxy=far" in text
        assert "secret" not in text
        assert parse_server("localhost:8501").describe(grpc=grpc) == "localhost:8501"
    monkeypatch.setenv("no_proxy", "far")
    assert far.describe(grpc=False) == "far:8501"


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_a_proxy(host, monkeypatch):
    # Nothing listens there.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with http.server.HTTPServer(("127.0.0.1", 0), _Hello) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = parse_server(f"{host}:{server.server_port}/")
        request = urllib.request.Request(address.url)
        assert address.open_url(request, 10).read() == b"hello"
