"""`python -m export.client --server=localhost:8500 --captions='a red bird'`.

Asks TensorFlow Serving for images of captions, by gRPC or (--rest) by HTTP, and writes
them as files, one a caption. `GrpcClient` and `RestClient` do the same for programs.
"""

import base64
import http.client
import json
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging
from PIL import Image

from mirrorgan_tf import commands
from mirrorgan_tf.commands import UserError
from mirrorgan_tf.generate import read_captions
from mirrorgan_tf.path_flags import define_path

__all__ = ["GrpcClient", "RestClient"]

_SEEDED = ("seeded", "redescribe", "best_of", "interpolate")
_SIGNATURES = ("png", "jpeg", "serving_default", *_SEEDED)
_DTYPES = {"DT_STRING": "O", "DT_FLOAT": "float32", "DT_DOUBLE": "float64"}
# Seconds before the first new try; each further one waits twice as long.
_WAIT_S = 0.2


class _Again(Exception):
    """A failure that may pass."""


class GrpcClient:
    """Asks a server by gRPC; needs tensorflow-serving-api.

    Args:
        server: HOST:PORT.
        model: its name there.
        version: a number; None is the newest.
        timeout_s: for a request, with all its tries.
        retries: further tries while the server is unavailable or overloaded.

    Raises:
        UserError: tensorflow-serving-api is not installed.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
    ) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import (
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError:
            raise UserError(
                "gRPC needs tensorflow-serving-api: pip install "
                "'mirrorgan_tf[serving]', or ask by --rest"
            ) from None
        self._server, self._model, self._version = server, model, version
        self._timeout_s, self._retries = timeout_s, retries
        self._request = predict_pb2.PredictRequest
        self._error, self._codes = grpc.RpcError, grpc.StatusCode
        # A client takes no more than 4 MB by default: 21 images of 256 px.
        channel = grpc.insecure_channel(
            server, options=[("grpc.max_receive_message_length", -1)]
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """Answers a batch.

        Args:
            signature: its name.
            inputs: arrays (N,) by name; captions as str or bytes.

        Returns:
            Arrays by name, strings as bytes.

        Raises:
            UserError: the server refuses, or does not answer in time.
        """
        import tensorflow as tf

        codes = self._codes
        may_pass = {codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED}
        request = self._request()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))

        def call(left_s):
            try:
                return self._stub.Predict(request, timeout=left_s)
            except self._error as error:
                message = f"{error.code().name}: {error.details()}"
                if error.code() in may_pass:
                    raise _Again(message) from None
                if error.code() is codes.DEADLINE_EXCEEDED:
                    message += "; is --timeout_s long enough?"
                raise UserError(f"{self._server}: {_one_line(message)}") from None

        deadline = time.monotonic() + self._timeout_s
        reply = _patiently(call, self._server, deadline, self._retries)
        return {name: tf.make_ndarray(value) for name, value in reply.outputs.items()}


class RestClient:
    """Asks a server by its REST API; arguments and errors as `GrpcClient`.

    Slower for images as arrays, which travel as decimal numbers; signature png is not.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
    ) -> None:
        base = server if "://" in server else f"http://{server}"
        self._url = f"{base}/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        self._server = server
        self._timeout_s, self._retries = timeout_s, retries
        self._signatures: dict | None = None

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """As `GrpcClient.predict`."""
        body = {
            "signature_name": signature,
            # By columns: rows would have no way to say that there is none.
            "inputs": {name: _to_json(value) for name, value in inputs.items()},
        }
        deadline = time.monotonic() + self._timeout_s
        reply = self._ask(f"{self._url}:predict", json.dumps(body).encode(), deadline)
        if self._signatures is None:
            # JSON has neither types nor empty shapes, nor a lone output's name.
            self._signatures = self._ask(f"{self._url}/metadata", None, deadline)
        try:
            listed = self._signatures["metadata"]["signature_def"]["signature_def"]
            infos, outputs = listed[signature]["outputs"], reply["outputs"]
            if len(infos) == 1:
                outputs = {next(iter(infos)): outputs}
            return {
                name: _from_json(value, infos[name]) for name, value in outputs.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._stranger() from None

    def _ask(self, url, content, deadline):
        """The JSON that the server answers."""

        def call(left_s):
            try:
                request = urllib.request.Request(
                    url, content, {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=left_s) as reply:
                    return json.loads(_read(reply, deadline))
            except urllib.error.HTTPError as error:
                message = f"HTTP {error.code}: {_error_text(error)}"
                if error.code in (429, 502, 503):
                    raise _Again(message) from None
                raise UserError(f"{self._server}: {_one_line(message)}") from None
            except OSError as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, TimeoutError):
                    raise _Again("no answer in time") from None
                if isinstance(reason, ConnectionError):
                    raise _Again(str(reason)) from None
                raise UserError(f"{self._server}: {_one_line(reason)}") from None
            except (ValueError, http.client.HTTPException):
                raise self._stranger() from None

        return _patiently(call, self._server, deadline, self._retries)

    def _stranger(self):
        return UserError(
            f"{self._server}: what answers is not TensorFlow Serving's REST API; "
            "its port is 8501 by default"
        )


def _patiently(call: Callable, server: str, deadline: float, retries: int):
    """call(seconds left), again and again while it may help and time is left."""
    start = time.monotonic()
    for attempt in range(retries + 1):
        try:
            return call(max(deadline - time.monotonic(), 0.001))
        except _Again as failure:
            wait_s = _WAIT_S * 2**attempt * random.uniform(0.5, 1.0)
            if attempt == retries or time.monotonic() + wait_s >= deadline:
                raise UserError(
                    f"{server}: {_one_line(failure)} ({attempt + 1} tries in "
                    f"{time.monotonic() - start:.1f} s); is it "
                    "running, and is --timeout_s long enough?"
                ) from None
            time.sleep(wait_s)


def _read(reply, deadline):
    """The whole body; a socket's own timeout begins anew with each byte."""
    content = bytearray()
    while part := reply.read1(1 << 20):
        content += part
        if time.monotonic() > deadline:
            raise TimeoutError
    if reply.length:
        raise ConnectionResetError("the answer broke off")
    return bytes(content)


def _one_line(message):
    return " ".join(str(message).split())


def _to_json(value):
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [_to_json(item) for item in value] if isinstance(value, list) else value


def _from_json(value, info):
    """The array of an output; `info` is what the metadata say of it."""
    dtype = _DTYPES.get(info["dtype"]) or info["dtype"].removeprefix("DT_").lower()
    array = np.array(_to_bytes(value) if dtype == "O" else value, dtype)
    if not array.size:
        dims = info["tensor_shape"].get("dim", [])
        array = array.reshape(0, *(max(int(dim["size"]), 0) for dim in dims[1:]))
    return array


def _to_bytes(value):
    if isinstance(value, list):
        return [_to_bytes(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _error_text(error):
    content = error.read()
    try:
        return json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return error.reason


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "server", None, "HOST:PORT; TensorFlow Serving's are 8500, and 8501 for --rest."
    )
    flags.DEFINE_bool("rest", False, "Ask by HTTP instead of gRPC.")
    flags.DEFINE_string("model", "birdlets", "The model's name on the server.")
    flags.DEFINE_integer("model_version", None, "Default: the newest.", lower_bound=1)
    flags.DEFINE_enum("signature", "png", _SIGNATURES, "What to ask for.")
    flags.DEFINE_multi_string("captions", [], "A caption; may be repeated.")
    define_path(
        "captions_file", None, "File of captions, one a line; - is standard input."
    )
    flags.DEFINE_integer(
        "seed",
        0,
        f"Fixes the noise ({', '.join(_SEEDED)}).",
        lower_bound=-(2**63),
        upper_bound=2**63 - 1,
    )
    flags.DEFINE_integer(
        "steps", 8, "Images from one caption to another (interpolate).", lower_bound=2
    )
    define_path("out", "images", "Folder for the images.")
    flags.DEFINE_integer("batch_size", 16, "Captions a request.", lower_bound=1)
    flags.DEFINE_float(
        "timeout_s", 60.0, "For a request, with all its tries.", lower_bound=0.001
    )
    flags.DEFINE_integer("retries", 5, "Further tries of a request.", lower_bound=0)


def main() -> None:
    """Asks, writes the images, prints what else is answered."""
    asked = flags.FLAGS
    if not asked.server:
        raise UserError("--server is missing; give --server=HOST:PORT")
    captions = read_captions(asked.captions, asked.captions_file)
    if not asked.rest:
        # What gRPC takes imports TensorFlow.
        commands.start_keras()
    client = (RestClient if asked.rest else GrpcClient)(
        asked.server,
        asked.model,
        asked.model_version,
        timeout_s=asked.timeout_s,
        retries=asked.retries,
    )
    labels, inputs = _rows(asked, captions)
    start = time.monotonic()
    for first in range(0, len(labels), asked.batch_size):
        batch = labels[first : first + asked.batch_size]
        answer = client.predict(
            asked.signature,
            {name: value[first : first + len(batch)] for name, value in inputs.items()},
        )
        for row, label in enumerate(batch):
            path = _write(answer, row, label, first + row + 1, Path(asked.out))
            facts = [str(path), *_facts(answer, row)]
            print(f"{label[:100]} -> {', '.join(facts)}")
        done = first + len(batch)
        rate = done / (time.monotonic() - start)
        left_s = (len(labels) - done) / rate
        logging.info(
            "%d/%d, %.1f images/s, ETA %.0f s", done, len(labels), rate, left_s
        )


def _rows(asked, captions):
    """What to call each image, and the inputs of all of them by name."""
    if asked.signature == "interpolate":
        if len(captions) != 2:
            raise UserError(
                f"--signature=interpolate: needs two captions, not {len(captions)}"
            )
        weights = np.linspace(0, 1, asked.steps, dtype=np.float32)
        labels = [f"{' to '.join(captions)} {weight:.2f}" for weight in weights]
        inputs = {
            "caption_from": captions[:1] * asked.steps,
            "caption_to": captions[1:] * asked.steps,
            "weight": weights,
        }
    else:
        labels, inputs = captions, {"caption": captions}
    if asked.signature in _SEEDED:
        inputs["seed"] = np.full(len(labels), asked.seed, np.int64)
    return labels, inputs


def _write(answer, row, caption, number, folder):
    if not {"image", "image_bytes"} & set(answer):
        raise UserError("the model answers no image; is --model one of ours?")
    slug = re.sub(r"[^a-z0-9]+", "-", caption.lower())[:40].strip("-")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "image_bytes" in answer:
            content = bytes(answer["image_bytes"][row])
            suffix = "jpg" if content.startswith(b"\xff\xd8") else "png"
            path = folder / f"{number:04d}-{slug}.{suffix}"
            path.write_bytes(content)
        else:
            path = folder / f"{number:04d}-{slug}.png"
            Image.fromarray(answer["image"][row]).save(path)
    except OSError as error:
        raise UserError(f"--out={folder}: can't be written ({error})") from None
    return path


def _facts(answer, row):
    if "redescription" in answer:
        yield f"reads: {answer['redescription'][row].decode()}"
    if "seed" in answer:
        yield f"seed {answer['seed'][row]}"
    if "log_likelihood" in answer:
        yield f"log likelihood {answer['log_likelihood'][row]:.2f}"


if __name__ == "__main__":
    commands.run(main, define_flags)
