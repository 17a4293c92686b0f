"""Parses addresses of servers and handles HTTP proxies."""

import dataclasses
import http.client
import ipaddress
import os
import ssl
import urllib.parse
import urllib.request

from mirrorgan_tf.errors import UserError

__all__ = ["Address", "parse_server"]

# In the order in which gRPC reads them.
_GRPC_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


@dataclasses.dataclass(frozen=True)
class Address:
    """A server's address.

    Attributes:
        scheme: "http" or "https".
        host_and_port: "HOST:PORT".
        host: name or IP address alone.
        path: prefix of the REST API's paths, without a slash at its end; usually empty.
    """

    scheme: str
    host_and_port: str
    host: str
    path: str

    @property
    def url(self) -> str:
        """The address of the REST API."""
        return f"{self.scheme}://{self.host_and_port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, which proxies can't reach by this address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def describe(self, *, grpc: bool) -> str:
        """The address and the proxy that is used for it, for error messages."""
        if self.is_loopback or urllib.request.proxy_bypass(self.host):
            return self.host_and_port + self.path
        if grpc:
            proxies = {name: os.environ.get(name) for name in _GRPC_PROXIES}
        else:
            proxy = urllib.request.getproxies().get(self.scheme)
            proxies = {f"{self.scheme}_proxy": proxy}
        for name, proxy in proxies.items():
            if proxy:
                # The text before the @ may contain a password.
                proxy = proxy.rpartition("@")[2]
                return (
                    f"{self.host_and_port}{self.path} (through the proxy {proxy} "
                    f"of {name}; no_proxy={self.host} connects directly)"
                )
        return self.host_and_port + self.path

    def open_url(
        self,
        request: urllib.request.Request,
        timeout_s: float,
        tls_context: ssl.SSLContext | None = None,
    ) -> http.client.HTTPResponse:
        """Like `urllib.request.urlopen`, but uses no proxy for this machine."""
        handlers: list = [urllib.request.HTTPSHandler(context=tls_context)]
        if self.is_loopback:
            handlers.append(urllib.request.ProxyHandler({}))
        opener = urllib.request.build_opener(*handlers)
        return opener.open(request, timeout=timeout_s)


def parse_server(server: str, *, scheme: str = "http", grpc: bool = False) -> Address:
    """Parses the value of --server.

    Args:
        server: HOST:PORT or http://HOST:PORT, with or without a slash at the end.
        scheme: the scheme of addresses without one.
        grpc: refuse https:// and paths, which gRPC does not take.

    Raises:
        UserError: `server` is no address.
    """
    text = server.strip()
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else f"{scheme}://{text}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        not host
        or parts.scheme not in ("http", "https")
        or parts.username is not None
        or parts.query
        or parts.fragment
        or any(character.isspace() for character in text)
    ):
        raise UserError(f"--server={server}: must be HOST:PORT or http://HOST:PORT")
    path = parts.path.rstrip("/")
    if grpc and (path or parts.scheme == "https"):
        raise UserError(
            f"--server={server}: gRPC takes HOST:PORT alone; give --rest to use HTTP"
        )
    return Address(parts.scheme, parts.netloc, host, path)
