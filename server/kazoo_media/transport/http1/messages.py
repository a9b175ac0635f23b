"""The messages in the body of a request."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError

from kazoo_media.transport.http1.wire import PREFIX_BYTES
from kazoo_media.transport.refused import RefusedError

_MESSAGE_LIMIT_BYTES = 4 << 20
"""gRPC's default."""

_HIGH_BYTES = 256 << 10
"""No more is read while this much is unread; the memory of a stalled upload."""

_LOW_BYTES = _HIGH_BYTES // 2
_OBJECT_BYTES = 64
"""The memory of a waiting message beside its bytes; a stream may consist of empty messages."""

_WINDOW_BITS = {"gzip": 31, "deflate": 15}


class Messages:
    """An async iterator of the messages of one request.

    It ends only when the client has ended its stream: a client that disconnects cancels the call.
    Iterating raises RefusedError for an invalid message.

    Attributes:
        is_ended: Whether the client has ended its stream, read or not.
    """

    def __init__(
        self,
        deserialize: Callable[[bytes], Any] | None,
        encoding: str,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        """Keep how to read messages.

        Args:
            deserialize: None: messages remain bytes.
            encoding: Of compressed messages.
            pause: Called when too much is unread; no more is fed until `resume`.
            resume: Called when there is room again.
        """
        self._deserialize = deserialize
        self._encoding = encoding
        self._pause = pause
        self._resume = resume
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._wanted_bytes = PREFIX_BYTES
        self._whole: deque[tuple[bytes, bool]] = deque()
        self._whole_bytes = 0
        self._is_paused = False
        self.is_ended = False
        self._refusal: RefusedError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes of the body."""
        if self._refusal:
            return
        self._pieces.append(data)
        self._pieces_bytes += len(data)
        if self._pieces_bytes < self._wanted_bytes:
            return
        try:
            self._split(b"".join(self._pieces) if len(self._pieces) > 1 else data)
        except RefusedError as refusal:
            self._refusal = refusal
        self._wake()
        if self._whole_bytes > _HIGH_BYTES and not self._is_paused:
            self._is_paused = True
            self._pause()

    def end(self) -> None:
        """End the stream: the body is complete."""
        self.is_ended = True
        if self._pieces and not self._refusal:
            self._refusal = RefusedError(grpc.StatusCode.INTERNAL, "the last message is truncated")
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - of any rpc
        while not self._whole:
            if self._refusal:
                raise self._refusal
            if self.is_ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data, is_compressed = self._whole.popleft()
        self._whole_bytes -= len(data) + _OBJECT_BYTES
        if self._is_paused and self._whole_bytes < _LOW_BYTES:
            self._is_paused = False
            self._resume()
        # Inflated only when it is read: a few waiting kilobytes can become megabytes.
        return self._read(self._inflated(data) if is_compressed else data)

    def _split(self, data: bytes) -> None:
        """Split off the complete messages; keep the rest."""
        start, size = 0, len(data)
        self._wanted_bytes = PREFIX_BYTES
        while size - start >= PREFIX_BYTES:
            length = int.from_bytes(data[start + 1 : start + PREFIX_BYTES], "big")
            if length > _MESSAGE_LIMIT_BYTES:
                raise _too_large(length)
            stop = start + PREFIX_BYTES + length
            if stop > size:
                self._wanted_bytes = PREFIX_BYTES + length
                break
            self._whole.append((data[start + PREFIX_BYTES : stop], bool(data[start])))
            self._whole_bytes += length + _OBJECT_BYTES
            start = stop
        rest = data[start:]
        self._pieces = [rest] if rest else []
        self._pieces_bytes = len(rest)

    def _read(self, data: bytes) -> Any:  # noqa: ANN401 - of any rpc
        try:
            return self._deserialize(data) if self._deserialize else data
        except DecodeError as error:
            raise RefusedError(grpc.StatusCode.INTERNAL, "a message cannot be read") from error

    def _inflated(self, data: bytes) -> bytes:
        bits = _WINDOW_BITS.get(self._encoding)
        if bits is None:
            details = f"the encoding {self._encoding!r} is not supported"
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, details)
        inflater = zlib.decompressobj(bits)
        try:
            message = inflater.decompress(data, _MESSAGE_LIMIT_BYTES + 1)
        except zlib.error as error:
            details = f"a message is not {self._encoding}: {error}"
            raise RefusedError(grpc.StatusCode.INTERNAL, details) from error
        if len(message) > _MESSAGE_LIMIT_BYTES:
            raise _too_large(len(message))
        if not inflater.eof:
            details = f"a message is not {self._encoding}: it is truncated"
            raise RefusedError(grpc.StatusCode.INTERNAL, details)
        return message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _too_large(size_bytes: int) -> RefusedError:
    details = f"a message has {size_bytes} bytes: the limit is {_MESSAGE_LIMIT_BYTES}"
    return RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, details)
