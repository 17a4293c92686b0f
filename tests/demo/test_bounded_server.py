"""Which requests the server of the demo answers, and how many at a time."""

import contextlib
import http.client
import json
import socket
import threading

import pytest

from mirrorgan_tf.demo.bounded_server import Limits
from mirrorgan_tf.demo.server import make_server

# Longer than any answer takes in these tests.
TIMEOUT_S = 60


class BlockedModel:
    """A model whose answers wait until `is_released` is set."""

    signatures = ["explain"]

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.is_released = threading.Event()

    def generate(self, caption, seed, *, best=False):
        self.started.release()
        assert self.is_released.wait(TIMEOUT_S)
        return {"caption": caption}


@contextlib.contextmanager
def serving(model, limits=None, **options):
    with make_server(model, "127.0.0.1", 0, limits=limits, **options) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        model.is_released.set()
        server.shutdown()


@pytest.fixture(scope="module")
def port():
    with serving(BlockedModel(), allowed_hosts=["demo.example"]) as port:
        yield port


def get(port, path="/api/model", **headers):
    """Status and JSON of an answer; "_" in a header's name is "-"."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, values in headers.items():
        for value in [values] if isinstance(values, str) else values:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


@pytest.mark.parametrize(
    "host",
    [
        "localhost:{port}",
        "LOCALHOST.:{port}",
        "127.0.0.1:{port}",
        # Forwarded from another port, or by a proxy.
        "localhost:9999",
        "demo.example",
        "demo.example:443",
        socket.gethostname(),
    ],
)
def test_requests_to_the_servers_own_names_are_answered(port, host):
    assert get(port, Host=host.format(port=port))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:{port}"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil.example@localhost.evil"},
        {"Host": "192.0.2.7:{port}"},
        {"Host": "127.0.0.2:{port}"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Host": []},
        {"Host": ["localhost:{port}", "evil.example"]},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        # A page of another server on this machine.
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ["http://127.0.0.1:{port}", "http://evil.example"]},
        # An image or a script of another site's page has no origin.
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("path", ["/api/model", "/api/generate?caption=a"])
def test_requests_to_other_names_or_of_other_pages_get_403(port, path, headers):
    formatted = {
        name: value.format(port=port)
        if isinstance(value, str)
        else [one.format(port=port) for one in value]
        for name, value in headers.items()
    }
    status, content = get(port, path, **formatted)
    assert status == 403 and json.loads(content)["error"]


def test_the_host_in_the_request_line_is_checked_too(port):
    assert get(port, "http://evil.example/api/model")[0] == 403
    assert get(port, f"http://localhost:{port}/api/model")[0] == 200


def test_requests_of_the_own_page_and_links_to_it_are_answered(port):
    for origin in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        assert get(port, Origin=origin, Sec_Fetch_Site="same-origin")[0] == 200
    assert get(port, "/", Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")[0] == 200
    from_elsewhere = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert get(port, "/?caption=a", **from_elsewhere)[0] == 200
    # Not inside another page, where the user would not notice it.
    assert (
        get(port, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    )


def test_captions_beyond_the_limit_get_503():
    model = BlockedModel()
    with serving(model, Limits(captions=2)) as port:
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(get(port, "/api/generate?caption=a")[0])
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert model.started.acquire(timeout=TIMEOUT_S)
        status, content = get(port, "/api/generate?caption=b")
        assert status == 503 and "busy" in json.loads(content)["error"]
        # Other requests are still answered.
        assert get(port, "/")[0] == get(port, "/api/model")[0] == 200
        model.is_released.set()
        for thread in threads:
            thread.join(TIMEOUT_S)
        assert answers == [200, 200]
        assert get(port, "/api/generate?caption=b")[0] == 200


def test_connections_beyond_the_limit_get_503():
    threads_before = threading.active_count()
    limits = Limits(connections=3, idle_timeout_s=TIMEOUT_S)
    with serving(BlockedModel(), limits) as port, contextlib.ExitStack() as open_ones:
        idle = [
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(3)
        ]
        for _ in range(20):
            status, content = get(port)
            assert status == 503 and json.loads(content)["error"]
        # One of the server's own, and one a connection.
        assert threading.active_count() - threads_before <= 1 + len(idle)
        idle[0].close()
        while get(port)[0] == 503:
            pass


@pytest.mark.parametrize("sends", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_without_a_complete_request_is_closed(sends):
    with (
        serving(BlockedModel(), Limits(idle_timeout_s=0.3)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as slow,
    ):
        slow.sendall(sends)
        assert slow.recv(1000) == b""


def test_a_request_sent_byte_by_byte_is_closed_at_the_time_limit():
    stop = threading.Event()
    with (
        serving(BlockedModel(), Limits(idle_timeout_s=0.5)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as slow,
    ):

        def trickle():
            with contextlib.suppress(OSError):
                while not stop.wait(0.1):
                    slow.sendall(b"a")

        thread = threading.Thread(target=trickle)
        thread.start()
        with contextlib.suppress(ConnectionResetError):
            assert slow.recv(1000) == b""
        stop.set()
        thread.join(TIMEOUT_S)
