"""The messages in the body of a request."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

import grpc
import structlog
from google.protobuf.message import DecodeError

from kazoo_media.errors import InternalError, MediaError, OverloadedError
from kazoo_media.transport.budget import Budget
from kazoo_media.transport.http1.wire import PREFIX_BYTES
from kazoo_media.transport.refused import RefusedError

_log = structlog.get_logger()

_MESSAGE_LIMIT_BYTES = 4 << 20
"""gRPC's default."""

_STRANGER_BYTES = 64 << 10
"""The largest message of a caller who has not been recognized."""

_HIGH_BYTES = 256 << 10
"""No more is read while this much is unread; the memory of a stalled upload."""

_LOW_BYTES = _HIGH_BYTES // 2
_OBJECT_BYTES = 64
"""The memory of a waiting message beside its bytes; a stream may consist of empty messages."""

_READ_AT_ONCE = 100
"""So many waiting messages are read before other calls get their turn."""

_WINDOW_BITS = {"gzip": 31, "deflate": 15}

Recognize = Callable[[], Awaitable[None]]
"""Raises the error for a caller who is not known."""


class Flow(Protocol):
    """The reading of a connection."""

    def pause_reading(self) -> None:
        """Feed no more for now."""

    def resume_reading(self) -> None:
        """Feed what comes."""


class Messages:
    """An async iterator of the messages of one request.

    It ends only when the client has ended its stream: a client that disconnects cancels the call.
    Iterating raises RefusedError or MediaError for what is refused. Only bytes that have arrived
    take memory, and they count in the budget until they are taken.

    Attributes:
        is_ended: Whether the client has ended its stream, read or not.
    """

    def __init__(
        self,
        deserialize: Callable[[bytes], Any] | None,
        encoding: str,
        flow: Flow,
        budget: Budget,
        recognize: Recognize | None = None,
        proceed: Callable[[], None] | None = None,
    ) -> None:
        """Keep how to read messages.

        Args:
            deserialize: None: messages remain bytes.
            encoding: Of compressed messages.
            flow: Is paused while too much waits here, or in all calls.
            budget: Of all calls.
            recognize: Called before a large message is received, and before the second half of the
                budget is used. None: the sender keeps its messages small.
            proceed: Called before the first message is awaited: the sender waits for it.
        """
        self._deserialize = deserialize
        self._encoding = encoding
        self._flow = flow
        self._budget = budget
        self._recognize = recognize
        self._proceed = proceed
        self._recognizing: asyncio.Task[None] | None = None
        self._rest = bytearray()
        self._wanted_bytes = PREFIX_BYTES
        self._whole: deque[tuple[bytes, bool]] = deque()
        self._held_bytes = 0
        self._is_begun = False
        self._is_full = self._is_paused = False
        self._progressed_s = 0.0
        self._read_at_once = 0
        self.is_ended = False
        self._refusal: RefusedError | MediaError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Add bytes of the body."""
        if self._refusal:
            return
        self._progressed_s = time.monotonic()
        comes_late = not self._is_begun and self._budget.is_spent
        self._is_begun = True
        self._hold(len(data))
        if self._rest or len(data) < self._wanted_bytes:
            self._rest += data
        if max(len(self._rest), len(data)) >= self._wanted_bytes:
            try:
                self._split(self._rest or data)
            except RefusedError as refusal:
                self._refuse(refusal)
            self._wake()
        if self._rest and comes_late:
            self._refuse(OverloadedError())
        elif self._rest and self._recognize is not None and self._budget.is_half_spent:
            self._ask(self._recognize)
        self._steer()

    def end(self) -> None:
        """End the stream: the body is complete."""
        self.is_ended = True
        if self._rest and not self._refusal:
            self._refuse(RefusedError(grpc.StatusCode.INTERNAL, "the last message is truncated"))
        self._wake()

    def close(self) -> None:
        """Forget what nobody will take: the call has ended."""
        if self._recognizing is not None:
            self._recognizing.cancel()
        self._refusal = _CLOSED
        self._rest = bytearray()
        self._whole.clear()
        self._hold(-self._held_bytes)
        self._budget.forget(self)

    def note_answered(self) -> None:
        """Do not ask the sender to proceed any more: the answer has begun."""
        self._proceed = None

    @property
    def is_paused(self) -> bool:
        """Return whether the connection is not read."""
        return self._is_paused

    def has_stalled(self, since_s: float) -> bool:
        """Return whether a message has begun and not grown since a time of the monotonic clock."""
        waits = bool(self._rest) and not self._is_full
        return waits and self._progressed_s < since_s

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - of any rpc
        self._read_at_once += 1
        if self._read_at_once > _READ_AT_ONCE:
            self._read_at_once = 0
            await asyncio.sleep(0)
        while not self._whole:
            self._read_at_once = 0
            if self._refusal:
                raise self._refusal
            if self.is_ended:
                raise StopAsyncIteration
            if self._proceed is not None:
                self._proceed()
                self._proceed = None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data, is_compressed = self._whole.popleft()
        self._hold(-(len(data) + _OBJECT_BYTES))
        if self._is_paused:
            self._steer()
        # Inflated only when it is read: a few waiting kilobytes can become megabytes.
        return self._read(await self._inflated(data) if is_compressed else data)

    def _hold(self, size_bytes: int) -> None:
        self._held_bytes += size_bytes
        if size_bytes > 0:
            self._budget.take(size_bytes)
        elif size_bytes < 0:
            self._budget.give_back(-size_bytes)

    def _refuse(self, refusal: RefusedError | MediaError) -> None:
        self._refusal = refusal
        self._hold(-len(self._rest))
        self._rest = bytearray()

    def _steer(self) -> None:
        """Pause or resume the reading."""
        whole_bytes = self._held_bytes - len(self._rest)
        self._is_full = whole_bytes > (_LOW_BYTES if self._is_full else _HIGH_BYTES)
        waits = bool(self._rest) and self._budget.is_spent
        if waits:
            self._budget.wait(self, self._steer)
        elif self._is_paused:
            self._budget.forget(self)
        pauses = self._is_full or waits or self._recognizing is not None
        if pauses != self._is_paused:
            self._is_paused = pauses
            (self._flow.pause_reading if pauses else self._flow.resume_reading)()

    def _split(self, received: bytes | bytearray) -> None:
        """Split off the complete messages; keep the rest."""
        data = memoryview(received)
        start, size = 0, len(data)
        self._wanted_bytes = PREFIX_BYTES
        while size - start >= PREFIX_BYTES:
            length = int.from_bytes(data[start + 1 : start + PREFIX_BYTES], "big")
            if length > _MESSAGE_LIMIT_BYTES:
                raise _too_large(length)
            if length > _STRANGER_BYTES and self._recognize is not None:
                self._ask(self._recognize)
            stop = start + PREFIX_BYTES + length
            if stop > size:
                self._wanted_bytes = PREFIX_BYTES + length
                break
            self._whole.append((bytes(data[start + PREFIX_BYTES : stop]), bool(data[start])))
            self._hold(_OBJECT_BYTES - PREFIX_BYTES)
            start = stop
        self._rest = bytearray(data[start:])

    def _ask(self, recognize: Recognize) -> None:
        """Read no more until the caller is recognized."""
        self._recognize = None
        self._recognizing = asyncio.get_running_loop().create_task(self._await(recognize))

    async def _await(self, recognize: Recognize) -> None:
        try:
            await recognize()
        except MediaError as refusal:
            self._refuse(refusal)
        except Exception:  # noqa: BLE001 - the last resort: the call must end
            _log.exception("a caller could not be recognized")
            self._refuse(InternalError())
        self._wake()
        self._recognizing = None
        self._steer()

    def _read(self, data: bytes) -> Any:  # noqa: ANN401 - of any rpc
        try:
            return self._deserialize(data) if self._deserialize else data
        except DecodeError as error:
            raise RefusedError(grpc.StatusCode.INTERNAL, "a message cannot be read") from error

    async def _inflated(self, data: bytes) -> bytes:
        limit_bytes = _STRANGER_BYTES if self._recognize else _MESSAGE_LIMIT_BYTES
        message = _inflate(data, self._encoding, limit_bytes)
        if len(message) > limit_bytes and self._recognize:
            recognize, self._recognize = self._recognize, None
            await recognize()
            return await self._inflated(data)
        if len(message) > limit_bytes:
            raise _too_large(len(message))
        return message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _inflate(data: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return the message, or one byte more than the limit."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        details = f"the encoding {encoding!r} is not supported"
        raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, details)
    inflater = zlib.decompressobj(bits)
    try:
        message = inflater.decompress(data, limit_bytes + 1)
    except zlib.error as error:
        details = f"a message is not {encoding}: {error}"
        raise RefusedError(grpc.StatusCode.INTERNAL, details) from error
    if len(message) <= limit_bytes and not inflater.eof:
        details = f"a message is not {encoding}: it is truncated"
        raise RefusedError(grpc.StatusCode.INTERNAL, details)
    return message


_CLOSED = RefusedError(grpc.StatusCode.CANCELLED, "the call has ended")


def _too_large(size_bytes: int) -> RefusedError:
    details = f"a message has {size_bytes} bytes: the limit is {_MESSAGE_LIMIT_BYTES}"
    return RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, details)
