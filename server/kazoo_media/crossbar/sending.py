"""How an answer is sent: its metadata, and the messages of its body."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import lru_cache

import structlog
from google.api.httpbody_pb2 import HttpBody

from kazoo_media.crossbar.answers import Answer
from kazoo_media.errors import InternalError
from kazoo_media.transport.serializers import POISON, Pieces

_log = structlog.get_logger()

_CLIENT_LEFT = 499
"""nginx's number for it; counted, never sent."""


@dataclass(slots=True)
class Ending:
    """How a call is counted: by its status once all is sent."""

    status: int = _CLIENT_LEFT

    def note_sent(self, status: int) -> None:
        """Count the status unless the answer broke off."""
        if self.status == _CLIENT_LEFT:
            self.status = status

    def note_broken(self) -> None:
        """Count a failure: the status that the client has got does not tell it."""
        self.status = InternalError.http_status


def metadata_of(answer: Answer) -> list[tuple[str, str]]:
    """Return the metadata that the gateway turns into status and headers."""
    metadata = [("x-http-status", str(answer.status)), *answer.headers.items()]
    if answer.size_bytes is not None:
        metadata.append(("x-media-length", str(answer.size_bytes)))
    return metadata


async def unbroken(
    rest: AsyncIterator[bytes], ending: Ending
) -> AsyncGenerator[HttpBody | Pieces, None]:
    """Yield the rest of a body; after a failure, a message that breaks the transfer.

    Status and headers have been sent, so nothing else can report the failure to the client.
    """
    try:
        async for data in rest:
            yield framed(data)
    except Exception:  # noqa: BLE001 - after any failure the client must see a broken transfer
        _log.exception("a REST answer broke off")
        ending.note_broken()
        yield (POISON,)


def framed(data: bytes, content_type: str = "") -> Pieces:
    """Return the pieces of a serialized HttpBody, without a copy of the data.

    Source: protobuf encoding, field 2 of wire type 2.
    """
    head = bytearray(_before_data(content_type))
    rest = len(data)
    while rest > 0x7F:
        head.append(rest & 0x7F | 0x80)
        rest >>= 7
    head.append(rest)
    return bytes(head), data


@lru_cache(maxsize=256)
def _before_data(content_type: str) -> bytes:
    """Return what a serialized HttpBody has before the size of its data."""
    body: bytes = HttpBody(content_type=content_type).SerializeToString()
    return body + b"\x12"
