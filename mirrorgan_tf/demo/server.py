"""The demo's web server: one page and a small JSON API."""

import contextlib
import http.server
import json
import urllib.parse
from collections.abc import Iterable
from importlib import resources

from absl import logging

from mirrorgan_tf.demo.bounded_server import BoundedServer, Limits
from mirrorgan_tf.demo.model import DemoModel

__all__ = ["make_server"]

_MAX_CAPTION_LETTERS = 2000
_SEEDS = range(-(2**63), 2**63)
# Values of Sec-Fetch-Site for requests of the user or of the demo's own page.
_OWN_SITES = {"same-origin", "none"}


def make_server(
    model: DemoModel,
    host: str,
    port: int,
    *,
    limits: Limits | None = None,
    allowed_hosts: Iterable[str] = (),
) -> BoundedServer:
    """Creates a server that is ready for `serve_forever`.

    Args:
        model: generates the images.
        host: address to listen on.
        port: port to listen on; 0: any free port.
        limits: None: the default limits.
        allowed_hosts: further host names that requests may use, besides `host`, the
            machine's name, its addresses and localhost.

    Raises:
        OSError: it can't listen there.
    """
    limits = limits or Limits()
    page = resources.files(__package__).joinpath("page.html").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = limits.idle_timeout_s

        def do_GET(self):  # noqa: N802
            self.server.request_has_arrived(self.connection)
            # The browser may have closed the connection.
            with contextlib.suppress(ConnectionError):
                self.route()

        def route(self):
            try:
                url = urllib.parse.urlsplit(self.path)
            except ValueError:
                return self.answer_json(400, {"error": "not a valid address"})
            if problem := self.reason_to_refuse(url):
                return self.answer_json(403, {"error": problem})
            if url.path == "/":
                self.answer(200, "text/html; charset=utf-8", page)
            elif url.path == "/api/model":
                self.answer_json(200, {"signatures": model.signatures})
            elif url.path == "/api/generate":
                self.generate(urllib.parse.parse_qs(url.query, keep_blank_values=True))
            else:
                self.answer_json(404, {"error": f"there is no {url.path[:100]}"})

        def reason_to_refuse(self, url):
            """Why a request is not answered; None for requests of the own page."""
            hosts = self.headers.get_all("Host", [])
            named = {*hosts, url.netloc or "".join(hosts)}
            if len(hosts) != 1 or not all(
                self.server.is_own_name(name, self.connection) for name in named
            ):
                return "the demo does not have this host name; see --allowed_hosts"
            own_origins = {f"{scheme}://{hosts[0]}" for scheme in ("http", "https")}
            from_page = own_origins.issuperset(self.headers.get_all("Origin", []))
            sites = self.headers.get_all("Sec-Fetch-Site", [])
            # Links of other sites may open the page, but not use the model.
            is_link = self.headers.get("Sec-Fetch-Mode") == "navigate"
            if not _OWN_SITES.issuperset(sites) and not (is_link and url.path == "/"):
                from_page = False
            return None if from_page else "only the demo's own page may send requests"

        def generate(self, query):
            caption = query.get("caption", [""])[0]
            if len(caption) > _MAX_CAPTION_LETTERS:
                problem = f"the caption has more than {_MAX_CAPTION_LETTERS} letters"
                return self.answer_json(400, {"error": problem})
            try:
                seed = int(query.get("seed", ["0"])[0])
            except ValueError:
                seed = None
            if seed is None or seed not in _SEEDS:
                problem = "the seed must be a whole number of 64 bits"
                return self.answer_json(400, {"error": problem})
            best = query.get("best") == ["1"] and "best_of" in model.signatures
            with self.server.caption_slot() as is_free:
                if not is_free:
                    problem = "the demo is busy with other captions; try again"
                    return self.answer_json(503, {"error": problem})
                try:
                    status, answer = 200, model.generate(caption, seed, best=best)
                except Exception as error:
                    logging.error("%s", error)
                    status, answer = 500, {"error": "the model failed; see its log"}
            return self.answer_json(status, answer)

        def answer_json(self, status, content):
            self.answer(status, "application/json", json.dumps(content).encode())

        def answer(self, status, kind, content):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
            if status == 503:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            """Logs nothing: anyone's requests could fill the log."""

    return BoundedServer((host, port), Handler, limits, allowed_hosts)
