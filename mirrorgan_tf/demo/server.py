"""The demo's web server: one page and a small JSON API."""

import contextlib
import http.server
import json
import urllib.parse
from importlib import resources

from mirrorgan_tf.demo.model import DemoModel

__all__ = ["make_server"]

_MOST_LETTERS = 2000
_SEEDS = range(-(2**63), 2**63)


def make_server(
    model: DemoModel, host: str, port: int
) -> http.server.ThreadingHTTPServer:
    """A server that is ready for `serve_forever`; OSError if it can't listen."""
    page = resources.files(__package__).joinpath("page.html").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        # Seconds that a silent client keeps a thread.
        timeout = 30

        def do_GET(self):  # noqa: N802
            # A tab that was closed wants no answer any more.
            with contextlib.suppress(ConnectionError):
                self.route()

        def route(self):
            try:
                url = urllib.parse.urlsplit(self.path)
            except ValueError:
                return self.answer_json(400, {"error": "that is no address"})
            if url.path == "/":
                self.answer(200, "text/html; charset=utf-8", page)
            elif url.path == "/api/model":
                self.answer_json(200, {"signatures": model.signatures})
            elif url.path == "/api/generate":
                self.generate(urllib.parse.parse_qs(url.query, keep_blank_values=True))
            else:
                self.answer_json(404, {"error": f"there is no {url.path[:100]}"})

        def generate(self, query):
            caption = query.get("caption", [""])[0]
            if len(caption) > _MOST_LETTERS:
                problem = f"the caption has more than {_MOST_LETTERS} letters"
                return self.answer_json(400, {"error": problem})
            try:
                seed = int(query.get("seed", ["0"])[0])
            except ValueError:
                seed = None
            if seed is None or seed not in _SEEDS:
                problem = "the seed must be a whole number of 64 bits"
                return self.answer_json(400, {"error": problem})
            best = query.get("best") == ["1"] and "best_of" in model.signatures
            try:
                answer = model.generate(caption, seed, best=best)
            except Exception as error:
                self.log_error("%s", error)
                return self.answer_json(500, {"error": "the model failed; see its log"})
            return self.answer_json(200, answer)

        def answer_json(self, status, content):
            self.answer(status, "application/json", json.dumps(content).encode())

        def answer(self, status, kind, content):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, *args):
            """Says nothing of requests that went well."""

    return http.server.ThreadingHTTPServer((host, port), Handler)
