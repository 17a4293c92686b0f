"""TLS for the clients: which certificates of servers they trust."""

import ssl
from pathlib import Path

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = ["read_certificates"]


def read_certificates(path: str | Path) -> str:
    """Reads a file of trusted certificates, PEM.

    Raises:
        UserError: it can't be read or holds no certificate.
    """
    try:
        certificates = read_bytes(path).decode("ascii")
        ssl.create_default_context(cadata=certificates)
    # An ssl.SSLError is an OSError as well, and no ASCII a ValueError.
    except (OSError, ValueError) as error:
        raise UserError(
            f"--tls_ca={path}: is no readable PEM file of certificates ({error})"
        ) from None
    return certificates
