"""The names that a client has proven with its certificate.

The gateway forwards the whole certificate: in a header with joined names, one name with a separator
in it would pass for two. Clients cannot send this header themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509

from kazoo_media.transport.context import Context, metadata_value

CERTIFICATE_KEY = "x-forwarded-client-cert"
"""Metadata key of the certificate; each engine sets it and removes a value from the client."""

_CERTIFICATE = re.compile('Cert="([^"]*)"')


def client_names(context: Context) -> tuple[str, ...]:
    """Return the names in the client's certificate, or None if it has shown none.

    These are its URIs and DNS names or, if there are none, the common name.

    Source: RFC 9525, 6.3; RFC 6125, 6.4.4.
    """
    header = metadata_value(context, CERTIFICATE_KEY)
    return _names(header) if header else ()


@lru_cache(maxsize=512)  # of some kilobytes each: parsing costs more than the rest of a short call
def _names(header: str) -> tuple[str, ...]:
    pem = _CERTIFICATE.search(header)
    if pem is None:
        return ()
    try:
        certificate = x509.load_pem_x509_certificate(unquote(pem[1]).encode())
        return _alternative_names(certificate) or _common_names(certificate)
    except ValueError:  # TLS has accepted what cannot be parsed here
        return ()


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.UniformResourceIdentifier),
        *found.get_values_for_type(x509.DNSName),
    )


def _common_names(certificate: x509.Certificate) -> tuple[str, ...]:
    attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return tuple(str(each.value) for each in attributes)
