"""The trustworthy metadata of a call."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, unquote

from kazoo_media.transport.client_certificates import CERTIFICATE_KEY
from kazoo_media.transport.context import PEER_KEY, Context

Metadata = tuple[tuple[str, str | bytes], ...]

_FROM_THE_GATEWAY = ("x-rest-", "x-envoy-")


def believed(context: Context, *, behind_transcoder: bool) -> Metadata:
    """Return the metadata of a call with the client's address and certificate.

    Keys that only a gateway may set are removed.

    Args:
        behind_transcoder: The peer is a transcoder that is trusted to report its own clients.
    """
    kept = [
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key != CERTIFICATE_KEY and (behind_transcoder or not key.startswith(_FROM_THE_GATEWAY))
    ]
    if not any(key == PEER_KEY for key, _ in kept):
        kept.append((PEER_KEY, address_of(context.peer())))
    shown = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
    if shown is not None:
        kept.append((CERTIFICATE_KEY, _as_the_gateway_sends_it(shown)))
    return tuple(kept)


def address_of(peer: str) -> str:
    """Return the address in gRPC's name of a peer; "" for a unix socket.

    Source: gRPC Core, `grpc_call_get_peer`: "ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5", "unix:".
    """
    scheme, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if scheme.startswith("ipv") else ""


@lru_cache(maxsize=512)
def _as_the_gateway_sends_it(pem: bytes) -> str:
    return f'Cert="{quote(pem)}"'
