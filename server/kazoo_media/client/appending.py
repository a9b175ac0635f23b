"""Appends to an upload through cuts, stalls and restarts of the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol, TypeAlias

import grpc
import grpc.aio

from kazoo_media.client.back_off import BackOff
from kazoo_media.client.channels import Channels, SharedChannel
from kazoo_media.client.connection import Connection, Metadata
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.true_status import TrueStatus
from kazoo_media.v1.upload_service_pb2 import (
    UPLOAD_STATE_COMMITTING,
    UPLOAD_STATE_DISCARDED,
    UPLOAD_STATE_FINISHED,
    AppendUploadRequest,
    AppendUploadResponse,
)
from kazoo_media.v1.upload_service_pb2_grpc import UploadServiceStub

_Call: TypeAlias = grpc.aio.StreamStreamCall[AppendUploadRequest, AppendUploadResponse]

_ENDED = (UPLOAD_STATE_FINISHED, UPLOAD_STATE_DISCARDED)
_CLOSED = (UPLOAD_STATE_COMMITTING, *_ENDED)
_SILENCE_S = 15.0
"""The service acknowledges each second. After this time without a word, the connection is dead."""

_SILENCES_OF_A_FINISH = 8  # a long recording takes its time to be stored
_LATE_S = 60.0
"""A header that nobody has answered may still be on its way, and take the next stream over."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class Source(Protocol):
    """What is appended to one upload."""

    async def place(self, persisted_size: int) -> None:
        """Take note of the first answer of a stream.

        Raises:
            MediaServiceError: the source cannot go on there.
        """

    def messages(self, persisted_size: int) -> AsyncIterator[AppendUploadRequest]:
        """Yield the messages from an offset on, the finish last."""

    def acknowledge(self, persisted_size: int) -> None:
        """Take note that so many bytes are durable."""


async def append_all(
    connection: Connection,
    channels: Channels,
    header: AppendUploadRequest.Header,
    source: Source,
) -> AppendUploadResponse:
    """Return the last response after everything was appended, with as many streams as it takes.

    Raises:
        MediaServiceError: the service refused for good; another try cannot help.
        OSError: the source failed.
    """
    back_off, best_size = BackOff(), -1
    lost_s = float("-inf")
    while True:
        stream = _Stream(connection, header, source)
        try:
            async with channels.lease() as shared:
                return await stream.run(shared)
        except TimeoutError:
            pass
        except MediaServiceError as error:
            is_late_header = error.reason == "TAKEN_OVER" and time.monotonic() - lost_s < _LATE_S
            if _is_final(error) and not is_late_header:
                raise
            lost_s = float("-inf") if is_late_header else lost_s
        if stream.is_header_lost:
            lost_s = time.monotonic()
        if stream.persisted_size > best_size:
            back_off.reset()
            best_size = stream.persisted_size
        await back_off.wait()


def _is_final(error: MediaServiceError) -> bool:
    """Return whether the service itself has said that trying again cannot help."""
    return error.reason == "TAKEN_OVER" or (bool(error.reason) and error.code in _REFUSALS)


class _Stream:
    """One call of AppendUpload.

    Attributes:
        persisted_size: As last acknowledged in this call; -1: never.
        is_header_lost: Whether the header was sent, and neither an answer nor a status came back.
    """

    def __init__(
        self, connection: Connection, header: AppendUploadRequest.Header, source: Source
    ) -> None:
        self.persisted_size = -1
        self.is_header_lost = False
        self._connection = connection
        self._header = header
        self._source = source
        self._sent_size = 0
        self._is_finishing = False

    async def run(self, shared: SharedChannel) -> AppendUploadResponse:
        """Return the last response.

        Raises:
            MediaServiceError: with the status that the service sent.
            TimeoutError: the service has fallen silent.
            OSError: the source failed.
        """
        try:
            async with asyncio.timeout(_SILENCE_S):
                call, first = await self._open(shared.channel)
            try:
                return await self._exchange(call, first)
            finally:
                call.cancel()
        except TimeoutError:
            shared.is_broken = True
            raise

    async def _open(self, channel: grpc.aio.Channel) -> tuple[_AppendCall, AppendUploadResponse]:
        stub = UploadServiceStub(channel)

        async def attempt(metadata: Metadata) -> tuple[_AppendCall, AppendUploadResponse]:
            call = _AppendCall(stub.AppendUpload(metadata=metadata))
            try:
                self.is_header_lost = await call.begin(AppendUploadRequest(header=self._header))
                first = await call.first()
            except grpc.aio.AioRpcError as error:
                # Only a status that came over the network has metadata.
                self.is_header_lost &= not (error.trailing_metadata() or error.initial_metadata())
                raise
            except BaseException:
                call.cancel()
                raise
            self.is_header_lost = False
            return call, first

        return await self._connection.authorized(attempt)

    async def _exchange(
        self, call: _AppendCall, first: AppendUploadResponse
    ) -> AppendUploadResponse:
        await self._source.place(first.persisted_size)
        self.persisted_size = self._sent_size = first.persisted_size
        loop = asyncio.get_running_loop()
        sending = loop.create_task(self._send(call, first))
        receiving = loop.create_task(self._receive(call, first))
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            is_over = sending.done() and not sending.cancelled()
            failure = sending.exception() if is_over else None
            if failure is not None and not isinstance(failure, grpc.aio.AioRpcError):
                raise failure
            last = await receiving
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error
        finally:
            sending.cancel()
            receiving.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
        if last.state not in _ENDED:
            message = "the service ended the stream before the recording"
            raise MediaServiceError(grpc.StatusCode.UNAVAILABLE, "", message)
        return last

    async def _send(self, call: _AppendCall, first: AppendUploadResponse) -> None:
        self._is_finishing = first.state in _CLOSED
        if self._is_finishing:
            return
        async for message in self._source.messages(first.persisted_size):
            # Before the write: one that gets stuck is a silence as well.
            self._sent_size = max(self._sent_size, message.write_offset + len(message.data))
            await call.write(message)
        self._is_finishing = True
        await call.done_writing()

    async def _receive(self, call: _AppendCall, last: AppendUploadResponse) -> AppendUploadResponse:
        while (response := await self._next(call)) is not None:
            last = response
            self.persisted_size = response.persisted_size
            self._source.acknowledge(response.persisted_size)
        return last

    async def _next(self, call: _AppendCall) -> AppendUploadResponse | None:
        reading = asyncio.get_running_loop().create_task(call.read())
        try:
            silences = 0
            while not reading.done():
                silences += self._is_finishing or self._sent_size > self.persisted_size
                most = _SILENCES_OF_A_FINISH if self._is_finishing else 1
                await asyncio.wait({reading}, timeout=_SILENCE_S)
                if not reading.done() and silences >= most:
                    raise TimeoutError
            return reading.result()
        finally:
            reading.cancel()


class _AppendCall:
    """A call whose methods raise the status that the service sent, as AioRpcError.

    The status comes after the last response, so somebody has to read until the end. `read` of
    grpc.aio stops where a write has failed; iterating does not.
    """

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._responses = aiter(call)
        self._status = TrueStatus(call)

    async def begin(self, message: AppendUploadRequest) -> bool:
        """Send the first message; return whether that succeeded. If not, `first` raises why."""
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await self._call.write(message)
            return True
        return False

    async def write(self, message: AppendUploadRequest) -> None:
        try:
            await self._call.write(message)
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            raise await self._status.wait() or _ended_early() from None

    async def done_writing(self) -> None:
        await self._call.done_writing()

    async def read(self) -> AppendUploadResponse | None:
        """Return the next response, None after the last one if the call ended OK."""
        with suppress(grpc.aio.AioRpcError, StopAsyncIteration):
            return await anext(self._responses)
        refusal = await self._status.wait()
        if refusal is not None:
            raise refusal
        return None

    async def first(self) -> AppendUploadResponse:
        response = await self.read()
        if response is None:
            raise _ended_early()
        return response

    def cancel(self) -> None:
        self._call.cancel()


def _ended_early() -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    text = "the service ended the stream"
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, text)
