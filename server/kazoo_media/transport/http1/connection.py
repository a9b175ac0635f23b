"""One connection of the gateway to a worker.

Theory of operation:

1. The gateway has one connection per concurrent call and reuses it for the next call: HTTP/1.1
   without pipelining. HTTP/2 would let calls share a connection at several times the cost.
2. A request without its last chunk is incomplete: when the client disconnects, the gateway closes
   the connection, which cancels the call. An answer without its last chunk is broken likewise.
3. A call may be answered before its request is complete. The gateway then closes the connection.
   Until it does, the rest of the request is read and dropped: closing first could lose the answer.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import grpc
import httptools
import structlog
from typing_extensions import override

from kazoo_media.transport.budget import Budget
from kazoo_media.transport.context import Context
from kazoo_media.transport.http1 import wire
from kazoo_media.transport.http1.call import Call, Outlet
from kazoo_media.transport.http1.messages import Messages
from kazoo_media.transport.registry import Handler

_log = structlog.get_logger()

_HEALTH_PATH = b"/healthz"
_JOINED_BYTES = 64 << 10
"""Pieces up to this size are written as one."""

_UNSENT_BYTES = 256 << 10
"""A call waits while more than this is unsent."""


class Connection(asyncio.Protocol, Outlet):
    """One connection and the call that runs on it; receives the events of httptools' parser."""

    def __init__(
        self,
        find: Callable[[str], Handler | None],
        connections: set[Connection],
        calls: set[asyncio.Task[None]],
        budget: Budget,
        recognize: Callable[[Context], Awaitable[None]],
    ) -> None:
        """Keep what answers the calls.

        Args:
            find: Returns the method of a path, or None.
            connections: Contains this one while it is open.
            calls: Contains the running calls.
            budget: Counts the incomplete requests of all connections.
            recognize: Raises the error for a caller who is not known.
        """
        self._find = find
        self._budget = budget
        self._recognize = recognize
        self._connections = connections
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._call: Call | None = None
        self._is_whole = True
        self._closes = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._flushing: asyncio.Handle | None = None
        self._room: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's transports have no such base class
        self._transport.set_write_buffer_limits(_UNSENT_BYTES)
        self._connections.add(self)

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            _log.error("invalid HTTP from the gateway", error=str(error))
            self._transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._lost.set()
        self.resume_writing()
        if self._call is not None:
            self._call.cancel()
            self._forget()

    @override
    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    @override
    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def on_message_begin(self) -> None:
        """Start a new request."""
        self._path, self._headers, self._is_whole = b"", [], False

    def on_url(self, url: bytes) -> None:
        """Append a part of the request target."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the call."""
        if self._parser.get_method() != b"POST":
            return
        handler = self._find(self._path.decode("latin-1"))
        request = wire.request_of(self._headers)
        if not request.is_grpc:
            self._transport.write(wire.NO_GRPC)
        elif handler is None:
            code = grpc.StatusCode.UNIMPLEMENTED.value[0]
            self._transport.write(wire.only_status(code, "unknown method", b""))
        elif not request.is_transcoded and wire.is_too_large(self._headers):
            code = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            self._transport.write(wire.only_status(code, wire.TOO_MUCH_METADATA, b""))
        else:
            self._begin(handler, request)

    def on_body(self, body: bytes) -> None:
        """Give the call a part of its request, unless it is answered already."""
        if self._call is not None:
            self._call.messages.feed(body)

    def on_message_complete(self) -> None:
        """End the request; answer the gateway's health check."""
        self._is_whole = True
        if self._call is not None:
            self._call.messages.end()
        elif self._parser.get_method() != b"POST":
            healthy = self._path == _HEALTH_PATH
            self._transport.write(wire.HEALTHY if healthy else wire.NO_CALL)

    @override
    def send(self, pieces: Sequence[bytes]) -> None:
        self._unsent += pieces
        self._unsent_bytes += sum(map(len, pieces))
        if self._unsent_bytes > _JOINED_BYTES:
            self._flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    @override
    async def drained(self) -> None:
        if self._room is not None:
            await self._room

    @override
    def end(self, piece: bytes) -> None:
        self.send((piece,))
        self._flush()
        self._forget()
        if self._is_whole and self._closes:
            self._transport.close()
        else:
            self._transport.resume_reading()  # unread messages have paused it

    @override
    def break_off(self) -> None:
        self._forget()
        self._transport.abort()

    def end_stalled(self, since_s: float) -> None:
        """End the call if its client has left unnoticed, or if a message of it does not go on.

        Args:
            since_s: A message must have grown since this time of the monotonic clock.
        """
        if self._call is None:
            return
        if self._call.messages.is_paused and self._has_left():
            self._transport.abort()
        elif self._call.messages.has_stalled(since_s):
            self._call.stall()

    def close_soon(self) -> None:
        """Close the connection, after the answer if a call is running."""
        self._closes = True
        if self._call is None and self._is_whole:
            self._transport.close()

    async def wait_closed(self) -> None:
        """Return when the connection is closed and all bytes are sent."""
        await self._lost.wait()

    def _begin(self, handler: Handler, request: wire.Request) -> None:
        recognize = None if request.is_transcoded else self._is_known
        messages = Messages(
            handler.request_deserializer,
            request.encoding,
            self._transport,
            self._budget,
            recognize,
            self._proceed if request.expects_continue and handler.request_streaming else None,
        )
        self._call = Call(handler, request.metadata, messages, self)
        task = self._call.start()
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        if request.timeout_s is not None:
            self._deadline = self._loop.call_later(request.timeout_s, self._call.expire)

    def _proceed(self) -> None:
        self._transport.write(wire.CONTINUE)

    def _has_left(self) -> bool:
        """Return whether the peer has closed: a transport that does not read does not see it."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLRDHUP)
        return bool(poll.poll(0))

    async def _is_known(self) -> None:
        if self._call is not None:
            await self._recognize(cast("Context", self._call))

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        pieces, size = self._unsent, self._unsent_bytes
        self._unsent, self._unsent_bytes = [], 0
        if self._transport.is_closing():
            return  # it was broken off after the pieces came
        if size > _JOINED_BYTES:
            self._transport.writelines(pieces)
        elif pieces:
            self._transport.write(b"".join(pieces))

    def _forget(self) -> None:
        """Prepare the connection for the next call."""
        if self._call is not None:
            self._call.messages.close()
            self._call = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
