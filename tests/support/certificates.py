"""Certificates for TLS, as files."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificate:
    """A certificate and its key: self-signed, or signed by another that may sign.

    Attributes:
        pem: The certificate.
        key_pem: Its private key.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *alternative_names: x509.GeneralName,
        issuer: Certificate | None = None,
    ) -> None:
        """Make both; `name` is the common name and that of the files."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._key = key
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        signer = issuer or self
        builder = (
            x509.CertificateBuilder(signer._subject, self._subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)  # noqa: FBT003
        )
        if alternative_names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternative_names), critical=False
            )
        self.pem = builder.sign(signer._key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM
        )
        self.key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.path, self.key_path = folder / f"{name}.crt", folder / f"{name}.key"
        self.path.write_bytes(self.pem)
        self.key_path.write_bytes(self.key_pem)


def local_server(folder: Path) -> Certificate:
    """Return a self-signed certificate for 127.0.0.1."""
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return Certificate(folder, "server", address)
