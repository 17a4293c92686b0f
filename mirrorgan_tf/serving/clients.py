"""Clients of TensorFlow Serving, for gRPC and for its REST API."""

import abc
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes
from mirrorgan_tf.serving.addresses import parse_server
from mirrorgan_tf.serving.rest_json import array_from_json, to_json
from mirrorgan_tf.serving.retries import (
    TransientError,
    call_with_retries,
    join_lines,
)

__all__ = ["Client", "GrpcClient", "RestClient", "read_certificates"]


class Client(abc.ABC):
    """Base of both clients, which take the same arguments.

    Args:
        server: HOST:PORT; for REST also http://HOST:PORT/PATH or https://...
        model: the model's name on the server.
        version: a number; None: the newest version.
        timeout_s: time limit of a request including its retries, in seconds.
        retries: how often a request is repeated while the server is unavailable or
            overloaded.
        tls: encrypt, and check the server's certificate and name. For REST an address
            with https:// has the same effect.
        tls_ca: PEM file of the certificates to trust; None: gRPC's own list, or the
            system's for REST.

    Raises:
        UserError: `server` is no address, `tls_ca` is no PEM file, or `tls_ca` is set
            without `tls`.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        tls: bool = False,
        tls_ca: str | Path | None = None,
    ) -> None:
        self._model, self._version = model, version
        self._timeout_s, self._retries = timeout_s, retries
        self._signatures = None
        # How error messages name the server.
        self._server = self._connect(server, tls, tls_ca)

    @abc.abstractmethod
    def _connect(self, server, tls, tls_ca) -> str:
        """Prepares requests; returns the server's name for error messages."""

    @abc.abstractmethod
    def _predict(self, signature, inputs, deadline) -> dict:
        """Sends a batch of at least one row; returns the outputs."""

    @abc.abstractmethod
    def _fetch_signatures(self, deadline) -> dict:
        """Requests the definitions of all signatures."""

    def signatures(self) -> dict:
        """The signatures that the server has, by name.

        Returns:
            SignatureDefs as JSON values: `inputs` and `outputs`, each TensorInfos by
            name with `dtype` and `tensor_shape`.

        Raises:
            UserError: see `predict`.
        """
        return self._signatures_until(time.monotonic() + self._timeout_s)

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """Requests the outputs of a signature.

        A request without rows is not sent, because a server that batches requests would
        never answer it.

        Args:
            signature: name of the signature.
            inputs: arrays (N,) by name; captions as str or bytes.

        Returns:
            Arrays by name, strings as bytes.

        Raises:
            UserError: the server refuses, or does not answer in time.
        """
        if any(_has_no_rows(value) for value in inputs.values()):
            return self._empty_outputs(signature, inputs)
        return self._predict(signature, inputs, time.monotonic() + self._timeout_s)

    def _signatures_until(self, deadline):
        if self._signatures is None:
            self._signatures = {
                name: definition
                for name, definition in self._fetch_signatures(deadline).items()
                # Names with __ belong to TensorFlow, which initialises the model.
                if not name.startswith("__")
            }
        return self._signatures

    def _empty_outputs(self, signature, inputs):
        definition = self.signatures().get(signature)
        if definition is None:
            raise UserError(f"{self._server}: there is no signature {signature}")
        if set(inputs) != set(definition["inputs"]):
            raise UserError(
                f"{self._server}: signature {signature} takes "
                f"{', '.join(sorted(definition['inputs']))}, not "
                f"{', '.join(sorted(inputs))}"
            )
        for name, value in inputs.items():
            if not _has_no_rows(value):
                raise UserError(f"{name} has rows, another input has none")
        return {
            name: array_from_json([], info)
            for name, info in definition["outputs"].items()
        }

    def _call(self, call, deadline):
        return call_with_retries(call, self._server, deadline, self._retries)


def _trusted_certificates(tls, tls_ca):
    """The certificates to trust as PEM text; None: the client's default."""
    if not tls_ca:
        return None
    if not tls:
        raise UserError("--tls_ca is for --tls; give both, or an https:// address")
    return read_certificates(tls_ca)


def read_certificates(path: str | Path) -> str:
    """Reads a PEM file of trusted certificates.

    Raises:
        UserError: it can't be read or has no certificate.
    """
    try:
        certificates = read_bytes(path).decode("ascii")
        ssl.create_default_context(cadata=certificates)
    # ssl.SSLError is an OSError; text that is not ASCII raises a ValueError.
    except (OSError, ValueError) as error:
        raise UserError(
            f"--tls_ca={path}: is no readable PEM file of certificates ({error})"
        ) from None
    return certificates


def _has_no_rows(value):
    if hasattr(value, "shape"):
        return tuple(value.shape)[:1] == (0,)
    return isinstance(value, list | tuple) and not value


class GrpcClient(Client):
    """Sends requests by gRPC; needs tensorflow-serving-api. Arguments: see `Client`."""

    def _connect(self, server, tls, tls_ca):
        try:
            import grpc
            from tensorflow_serving.apis import (
                get_model_metadata_pb2,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError:
            raise UserError(
                "gRPC needs tensorflow-serving-api: pip install "
                "'mirrorgan_tf[serving]', or use --rest"
            ) from None
        address = parse_server(server, grpc=True)
        self._predict_request = predict_pb2.PredictRequest
        self._metadata = get_model_metadata_pb2
        self._error, self._codes = grpc.RpcError, grpc.StatusCode
        # gRPC's default limit of 4 MB allows only 21 images of 256 px.
        options = [("grpc.max_receive_message_length", -1)]
        if address.is_loopback:
            options.append(("grpc.enable_http_proxy", 0))
        certificates = _trusted_certificates(tls, tls_ca)
        if tls:
            credentials = grpc.ssl_channel_credentials(
                certificates and certificates.encode()
            )
            channel = grpc.secure_channel(address.host_and_port, credentials, options)
        else:
            channel = grpc.insecure_channel(address.host_and_port, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return address.describe(grpc=True)

    def _predict(self, signature, inputs, deadline):
        import tensorflow as tf

        request = self._predict_request()
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        reply = self._send(self._stub.Predict, request, deadline)
        return {name: tf.make_ndarray(value) for name, value in reply.outputs.items()}

    def _fetch_signatures(self, deadline):
        from google.protobuf import json_format

        request = self._metadata.GetModelMetadataRequest()
        request.metadata_field.append("signature_def")
        reply = self._send(self._stub.GetModelMetadata, request, deadline)
        signatures = self._metadata.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(signatures)
        return json_format.MessageToDict(signatures, preserving_proto_field_name=True)[
            "signature_def"
        ]

    def _send(self, method, request, deadline):
        """Sends a request; returns the server's message."""
        codes = self._codes
        transient_codes = {codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED}
        request.model_spec.name = self._model
        if self._version is not None:
            request.model_spec.version.value = self._version

        def call(left_s):
            try:
                return method(request, timeout=left_s)
            except self._error as error:
                message = f"{error.code().name}: {error.details()}"
                if error.code() in transient_codes:
                    raise TransientError(message) from None
                if error.code() is codes.DEADLINE_EXCEEDED:
                    message += "; is --timeout_s long enough?"
                raise UserError(f"{self._server}: {join_lines(message)}") from None

        return self._call(call, deadline)


class RestClient(Client):
    """Sends requests to the REST API. Arguments: see `Client`.

    Arrays of images are sent as decimal numbers, which is slow; prefer signature png.
    """

    def _connect(self, server, tls, tls_ca):
        scheme, separator, _ = server.partition("://")
        if tls and scheme == "http" and separator:
            raise UserError(f"{server}: --tls needs an address with https://")
        self._address = parse_server(server, scheme="https" if tls else "http")
        is_encrypted = self._address.scheme == "https"
        certificates = _trusted_certificates(is_encrypted, tls_ca)
        # Only for https://: creating a context reads the system's certificates.
        self._tls_context = (
            ssl.create_default_context(cadata=certificates) if is_encrypted else None
        )
        name = urllib.parse.quote(self._model, safe="")
        self._url = f"{self._address.url}/v1/models/{name}"
        if self._version is not None:
            self._url += f"/versions/{self._version}"
        return self._address.describe(grpc=False)

    def _predict(self, signature, inputs, deadline):
        body = {
            "signature_name": signature,
            "inputs": {name: to_json(value) for name, value in inputs.items()},
        }
        reply = self._send(f"{self._url}:predict", json.dumps(body).encode(), deadline)
        try:
            infos = self._signatures_until(deadline)[signature]["outputs"]
            outputs = reply["outputs"]
            # The REST API leaves out the name of a single output.
            if len(infos) == 1:
                outputs = {next(iter(infos)): outputs}
            return {
                name: array_from_json(value, infos[name])
                for name, value in outputs.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._not_the_rest_api() from None

    def _fetch_signatures(self, deadline):
        reply = self._send(f"{self._url}/metadata", None, deadline)
        try:
            return reply["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError):
            raise self._not_the_rest_api() from None

    def _send(self, url, content, deadline):
        """Sends a request; returns the server's JSON."""

        def call(left_s):
            try:
                request = urllib.request.Request(
                    url, content, {"Content-Type": "application/json"}
                )
                with self._address.open_url(
                    request, left_s, self._tls_context
                ) as reply:
                    return json.loads(_read(reply, deadline))
            except urllib.error.HTTPError as error:
                message = f"HTTP {error.code}: {_error_text(error)}"
                if error.code in (429, 502, 503):
                    raise TransientError(message) from None
                raise UserError(f"{self._server}: {join_lines(message)}") from None
            except OSError as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, TimeoutError):
                    raise TransientError("no answer in time") from None
                if isinstance(reason, ConnectionError):
                    raise TransientError(str(reason)) from None
                raise UserError(f"{self._server}: {join_lines(reason)}") from None
            except (ValueError, http.client.HTTPException):
                raise self._not_the_rest_api() from None

        return self._call(call, deadline)

    def _not_the_rest_api(self):
        return UserError(
            f"{self._server}: is not TensorFlow Serving's REST API, whose port is 8501 "
            "by default"
        )


def _read(reply, deadline):
    """Reads the body before the deadline; a socket's timeout restarts at each byte."""
    content = bytearray()
    while part := reply.read1(1 << 20):
        content += part
        if time.monotonic() > deadline:
            raise TimeoutError
    if reply.length:
        raise ConnectionResetError("the connection broke off")
    return bytes(content)


def _error_text(error):
    content = error.read()
    try:
        return json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return error.reason
