"""Checks the files for TLS before an engine reads them, which reports less."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kazoo_media.config import Config
from kazoo_media.start_error import StartError


def check_tls(config: Config) -> None:
    """Return if the files hold a certificate, its key and, if configured, CA certificates.

    Raises:
        StartError: they do not.
        OSError: a file cannot be read.
    """
    if not (config.tls_cert and config.tls_key):
        return
    [certificate, *_] = _certificates("KAZOO_MEDIA_TLS_CERT", config.tls_cert)
    subject = f"KAZOO_MEDIA_TLS_KEY={config.tls_key}"
    try:
        key = load_pem_private_key(config.tls_key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # TypeError: a password is needed
        raise StartError.about(
            subject, "not a private key in PEM form", "set it to the certificate's key, unencrypted"
        ) from error
    if key.public_key() != certificate.public_key():
        raise StartError.about(
            subject,
            f"not the key of the certificate {config.tls_cert}",
            "set both variables to files that belong together, the certificate first in its file",
        )
    if config.tls_client_ca:
        _certificates("KAZOO_MEDIA_TLS_CLIENT_CA", config.tls_client_ca)


def _certificates(variable: str, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise StartError.about(
            f"{variable}={path}", "not a certificate in PEM form", "set it to a PEM file"
        ) from error
