"""Requests an image from TensorFlow Serving with Python's standard library alone.

python examples/client.py http://localhost:8501/v1/models/birdlets 'a red bird' bird.png

The model is an export of `mirrorgan export`. `mirrorgan client` does the same with
retries, TLS and gRPC.
"""

import base64
import json
import sys
import urllib.request


def request_png(model_url: str, caption: str) -> bytes:
    """The PNG file that a server generates for a caption."""
    body = {"signature_name": "png", "inputs": {"caption": [caption]}}
    request = urllib.request.Request(
        f"{model_url}:predict",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return base64.b64decode(json.load(response)["outputs"][0]["b64"])


if __name__ == "__main__":
    model_url, caption, path = sys.argv[1:]
    with open(path, "wb") as file:
        file.write(request_png(model_url, caption))
