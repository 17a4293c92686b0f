import base64
import http.server
import json
import subprocess
import sys
import threading

from tests.conftest import ROOT


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as TensorFlow Serving's REST interface documents it."""

    def do_POST(self):  # noqa: N802
        assert self.path == "/v1/models/birdlets:predict"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (caption,) = body["inputs"]["caption"]
        image = f"{body['signature_name']} of {caption}".encode()
        answer = {"outputs": [{"b64": base64.b64encode(image).decode()}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


def test_example_client_writes_the_image_of_a_rest_server(tmp_path):
    with http.server.HTTPServer(("localhost", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://localhost:{server.server_port}/v1/models/birdlets"
        script = ROOT / "examples" / "client.py"
        arguments = [url, "a red bird", str(tmp_path / "b.png")]
        subprocess.run([sys.executable, script, *arguments], check=True, timeout=60)
        server.shutdown()
    assert (tmp_path / "b.png").read_bytes() == b"png of a red bird"
