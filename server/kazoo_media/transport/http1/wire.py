"""gRPC between the gateway and its workers: over HTTP/1.1, chunked, the status in trailers.

Bytes only; the order of events is in `call.py` and `connection.py`. Messages, metadata and status
are those of gRPC over HTTP/2.

Source: gRPC over HTTP2, "Requests" and "Responses"; RFC 9112, sections 6.3 and 7.1.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

from kazoo_media.transport.context import TRANSCODED_KEY

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

PREFIX_BYTES = 5
"""Size of a message's prefix: one byte for "compressed", four for the length."""

HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
"""The whole answer to a health check."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim answer to a client that waits with its body. Source: RFC 9110, 10.1.1."""

NO_CALL = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"
"""The whole answer to a request that is neither a health check nor a call."""

NO_GRPC = b"HTTP/1.1 415 Unsupported Media Type\r\ncontent-length: 0\r\n\r\n"
"""The whole answer to a request whose content type is not gRPC's."""

_KEY = re.compile(r"[0-9a-z_.-]+")
_RESERVED = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_METADATA_BYTES = 64 << 10
_METADATA_ENTRIES = 100
TOO_MUCH_METADATA = "the metadata has more than 64 KiB or 100 entries"
_TRANSCODED = TRANSCODED_KEY.encode()
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"


@dataclass(slots=True)
class Request:
    """What the headers of a request say.

    Attributes:
        is_grpc: Whether the content type is gRPC's. Any web page can make a browser send other
            types, together with its user's client certificate.
        encoding: Of compressed messages.
        timeout_s: The client's; None: none.
        expects_continue: Whether the client waits for a 100 before it sends the body.
        is_transcoded: Whether the gateway has made the messages from HTTP.
    """

    metadata: Metadata
    is_grpc: bool
    encoding: str
    timeout_s: float | None
    expects_continue: bool
    is_transcoded: bool


def head(metadata: Metadata) -> bytes:
    """Return the head of an answer that has messages.

    Raises:
        ValueError: metadata cannot be sent as headers.
    """
    return b"%b%btransfer-encoding: chunked\r\n\r\n" % (_HEAD, lines(metadata))


def chunk(message: Sequence[bytes]) -> Sequence[bytes]:
    """Return the pieces of a message, with its prefix, in a chunk."""
    size = sum(map(len, message))
    before = b"%x\r\n\x00%b" % (size + PREFIX_BYTES, size.to_bytes(4, "big"))
    return before, *message, b"\r\n"


def end(code: int, details: str, trailing: bytes) -> bytes:
    """Return the end of an answer with messages: the last chunk, status and `trailing`."""
    return b"0\r\n%b%b\r\n" % (_status(code, details), trailing)


def only_status(code: int, details: str, trailing: bytes) -> bytes:
    """Return a whole answer without messages: status and `trailing` are in its head."""
    return b"%b%b%bcontent-length: 0\r\n\r\n" % (_HEAD, _status(code, details), trailing)


def lines(metadata: Metadata) -> bytes:
    """Return metadata as headers.

    Raises:
        ValueError: metadata cannot be sent as headers.
    """
    return "".join([_line(key, value) for key, value in metadata]).encode("ascii")


def request_of(headers: Headers) -> Request:
    """Return what the headers of a request say."""
    metadata: list[tuple[str, str | bytes]] = [
        (name.decode("latin-1"), text.decode("latin-1"))
        for name, text in headers
        if not name.endswith(b"-bin")
    ]
    if len(metadata) < len(headers):
        metadata += _binary_metadata(headers)
    known = dict(headers)
    timeout = _TIMEOUT.fullmatch(known.get(b"grpc-timeout", b""))
    return Request(
        metadata,
        is_grpc=known.get(b"content-type", b"").startswith(b"application/grpc"),
        encoding=known.get(b"grpc-encoding", b"identity").decode("latin-1"),
        timeout_s=int(timeout[1]) * _UNIT_S[timeout[2]] if timeout else None,
        expects_continue=known.get(b"expect", b"").lower() == b"100-continue",
        is_transcoded=_TRANSCODED in known,
    )


def is_too_large(headers: Headers) -> bool:
    """Return whether a call has more metadata than it may.

    The gateway accepts more, so that only this call is refused and not its whole connection.
    """
    size = sum(len(name) + len(text) for name, text in headers)
    return size > _METADATA_BYTES or len(headers) > _METADATA_ENTRIES


def _status(code: int, details: str) -> bytes:
    message = f"grpc-message: {quote(details, safe=_PLAIN)}\r\n" if details else ""
    return f"grpc-status: {code}\r\n{message}".encode("ascii")


def _line(key: str, value: str | bytes) -> str:
    _check_key(key)
    if key.endswith("-bin"):
        data = value if isinstance(value, bytes) else value.encode()
        return f"{key}: {base64.b64encode(data).rstrip(b'=').decode('ascii')}\r\n"
    # A line break would begin another header.
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"the value of {key!r} is not printable ASCII: {value!r}")
    return f"{key}: {value}\r\n"


def _binary_metadata(headers: Headers) -> Sequence[tuple[str, bytes]]:
    return [
        (name.decode("latin-1"), _from_base64(each))
        for name, text in headers
        if name.endswith(b"-bin")
        for each in text.split(b",")
    ]


@lru_cache(maxsize=256)
def _check_key(key: str) -> None:
    if key in _RESERVED or not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a valid metadata key")


def _from_base64(text: bytes) -> bytes:
    """Return decoded base64, with or without padding; b"" if it is invalid."""
    text = text.strip()
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""
