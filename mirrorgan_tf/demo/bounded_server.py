"""A threading web server that strangers can't exhaust, and that knows its own names."""

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

# Time that the accepting thread spends on a connection that it refuses.
_REFUSAL_S = 0.05


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server does at a time, at most.

    Attributes:
        connections: open connections; each has a thread.
        captions: captions that are drawn or wait for it.
        idle_timeout_s: seconds until a request has to be there, whole, and in which
            an answer has to be taken.
    """

    connections: int = 32
    captions: int = 4
    idle_timeout_s: float = 10.0


class BoundedServer(http.server.ThreadingHTTPServer):
    """A thread a connection, but only so many; further ones are answered 503.

    A connection that sends its request too slowly is closed.

    Args:
        address: host and port to listen at.
        handler: of requests; calls `request_has_arrived` for each.
        limits: see `Limits`.
        allowed_hosts: names that it is reached by, besides its own.

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
        # Connections whose request is not there yet -> when it has to be.
        self._deadlines: dict[socket.socket, float] = {}
        self._names = {address[0], socket.gethostname(), *allowed_hosts}
        super().__init__(address, handler)

    def request_has_arrived(self, connection: socket.socket) -> None:
        """Ends the time limit of a connection's request."""
        self._deadlines.pop(connection, None)

    @contextlib.contextmanager
    def caption_slot(self):
        """Whether one of the `limits.captions` is free; it is taken for the block."""
        is_free = self._captions.acquire(blocking=False)
        try:
            yield is_free
        finally:
            if is_free:
                self._captions.release()

    def is_own_name(self, netloc: str, connection: socket.socket) -> bool:
        """Whether a Host header names this server.

        Any web page can have its own name resolve to this machine's address; its
        requests then come from its visitors' browsers, with that name as their Host.

        Args:
            netloc: name and port; the port is not looked at, for it may be forwarded.
            connection: that it came by.
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
        """A client that has gone is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def service_actions(self):
        """Ends connections without a request; `serve_forever` calls it by the second.

        A timeout of the socket alone would begin anew with every byte.
        """
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                self._deadlines.pop(connection, None)
                # Its thread may have closed it by now.
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
            # Closed with unread bytes, a connection would lose the answer.
            request.recv(65536)
        self.shutdown_request(request)
