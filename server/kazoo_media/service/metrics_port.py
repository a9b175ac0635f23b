"""The port that Prometheus asks: `GET /metrics`, nothing else.

It has few clients, all of them local by default. Whoever is slow or too many is disconnected.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from kazoo_media.config import Address
from kazoo_media.start_error import StartError

MOST_CLIENTS = 16
_CLIENT_S = 10.0
_HEAD_BYTES = 8 << 10
_WANTED = re.compile(rb"GET /metrics(\?\S*)? HTTP/1\.[01]\r\n")

_log = structlog.get_logger()


@asynccontextmanager
async def serving_metrics(address: Address, publish: Callable[[], bytes]) -> AsyncIterator[None]:
    """Serve the metrics inside the block.

    Args:
        publish: Returns their text; runs in a thread, once at a time. An OSError or ValueError is
            answered with 503.

    Raises:
        StartError: the address cannot be listened on.
    """
    port = _MetricsPort(publish)
    try:
        server = await asyncio.start_server(
            port.answer, address.host, address.port, limit=_HEAD_BYTES
        )
    except OSError as error:
        raise StartError(f"KAZOO_MEDIA_METRICS_PORT={address}: {error.strerror}") from error
    try:
        yield
    finally:
        server.close()
        port.end_all()


class _MetricsPort:
    """Answers its clients, one request for each connection."""

    def __init__(self, publish: Callable[[], bytes]) -> None:
        self._publish = publish
        self._clients: set[asyncio.StreamWriter] = set()
        self._turn = asyncio.Lock()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client within 10 seconds and close its connection."""
        if len(self._clients) >= MOST_CLIENTS:
            writer.transport.abort()
            return
        self._clients.add(writer)
        writer.transport.set_write_buffer_limits(0)  # `drain` returns when all is sent
        try:
            async with asyncio.timeout(_CLIENT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._response(head))
                await writer.drain()
            writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._clients.discard(writer)

    def end_all(self) -> None:
        """Disconnect all clients."""
        for client in self._clients:
            client.transport.abort()

    async def _response(self, head: bytes) -> bytes:
        if _WANTED.match(head) is None:
            return _answer("404 Not Found", b"only GET /metrics is served here\n")
        try:
            async with self._turn:
                text = await asyncio.to_thread(self._publish)
        except (OSError, ValueError) as error:
            _log.warning("metrics cannot be read", error=str(error))
            return _answer("503 Service Unavailable", b"")
        return _answer("200 OK", text)


def _answer(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE_PLAIN_0_0_4}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
