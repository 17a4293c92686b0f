"""A threading web server with limits, which accepts only requests to its own names."""

import contextlib
import dataclasses
import http.server
import ipaddress
import json
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterable

__all__ = ["BoundedServer", "Limits"]

# The most time that the accepting thread spends on refusing a connection.
_REFUSAL_S = 0.05


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        connections: the most open connections; each has a thread.
        captions: the most captions that wait or are processed.
        idle_timeout_s: seconds in which a request must arrive completely, and in which
            the client must read the answer.
    """

    connections: int = 32
    captions: int = 4
    idle_timeout_s: float = 10.0


class BoundedServer(http.server.ThreadingHTTPServer):
    """One thread a connection; connections beyond the limit get status 503.

    A connection that sends its request too slowly is closed.

    Args:
        address: host and port to listen on.
        handler: handles requests; must call `request_has_arrived` for each.
        limits: see `Limits`.
        allowed_hosts: further host names that requests may use.

    Raises:
        OSError: it can't listen there.
    """

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[http.server.BaseHTTPRequestHandler],
        limits: Limits,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self.limits = limits
        self._connections = threading.Semaphore(limits.connections)
        self._captions = threading.Semaphore(limits.captions)
        # Connections without a complete request yet -> when they are closed.
        self._deadlines: dict[socket.socket, float] = {}
        self._names = {address[0], socket.gethostname(), *allowed_hosts}
        super().__init__(address, handler)

    def request_has_arrived(self, connection: socket.socket) -> None:
        """Ends the time limit of a connection's request."""
        self._deadlines.pop(connection, None)

    @contextlib.contextmanager
    def caption_slot(self):
        """Context that occupies a slot for a caption; False if none is free."""
        is_free = self._captions.acquire(blocking=False)
        try:
            yield is_free
        finally:
            if is_free:
                self._captions.release()

    def is_own_name(self, netloc: str, connection: socket.socket) -> bool:
        """Whether a Host header names this server.

        Any web page can let its own name resolve to this machine's address (DNS
        rebinding); requests of its visitors' browsers then have that name as Host.

        Args:
            netloc: name and port; the port is ignored, since it may be forwarded.
            connection: of the request.
        """
        try:
            host = urllib.parse.urlsplit(f"//{netloc}").hostname
        except ValueError:
            return False
        address = connection.getsockname()[0]
        own = {address, *self._names}
        if ipaddress.ip_address(address).is_loopback:
            own.add("localhost")
        own = {name.lower().rstrip(".") for name in own}
        return host is not None and host.rstrip(".") in own

    def process_request(self, request, client_address):
        """Starts a thread for a connection, or refuses it."""
        if not self._connections.acquire(blocking=False):
            self._refuse(request)
            return
        self._deadlines[request] = time.monotonic() + self.limits.idle_timeout_s
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.release()
            raise

    def process_request_thread(self, request, client_address):
        """Handles a connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._deadlines.pop(request, None)
            self._connections.release()

    def handle_error(self, request, client_address):
        """Ignores errors of closed connections."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def service_actions(self):
        """Closes connections without a request; `serve_forever` calls it regularly.

        A timeout of the socket does not suffice, because it restarts at every byte.
        """
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                self._deadlines.pop(connection, None)
                # Its thread may have closed it already.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, request):
        content = json.dumps({"error": "the demo is busy; try again"}).encode()
        head = (
            "HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nRetry-After: 1\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            request.settimeout(_REFUSAL_S)
            request.sendall(head.encode() + content)
            request.shutdown(socket.SHUT_WR)
            # If there were unread bytes, closing would discard the answer.
            request.recv(65536)
        self.shutdown_request(request)
