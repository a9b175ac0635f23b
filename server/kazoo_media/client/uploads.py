"""Sends audio to the service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import grpc.aio

from kazoo_media.client.files import open_with_head
from kazoo_media.client.true_status import TrueStatus
from kazoo_media.v1 import media_service_pb2
from kazoo_media.v1.media_service_pb2 import UploadContentRequest, UploadContentResponse

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes transferred so far and the total, or None if it is not known."""

Call: TypeAlias = grpc.aio.StreamUnaryCall[UploadContentRequest, UploadContentResponse]

_SERVICE = media_service_pb2.DESCRIPTOR.services_by_name["MediaService"]
_MESSAGE_BYTES = 512 * 1024
_INVITATION_KEY = "x-request-id"


def no_progress(transferred_bytes: int, total_bytes: int | None) -> None:
    """Do nothing."""


class StreamedUpload:
    """One call of UploadContent. Its methods raise the status that the service sent."""

    def __init__(self, call: Call) -> None:
        """Take over a new call."""
        self._call = call
        self._status = TrueStatus(call)

    async def begin(self, header: UploadContentRequest.Header) -> None:
        """Announce the upload; return when the service is ready for the bytes.

        Raises:
            grpc.aio.AioRpcError: the service refused; no source was read.
        """
        await self._write(UploadContentRequest(header=header))
        # A refusal has no initial metadata from the service; its status may arrive a moment later.
        if _INVITATION_KEY not in dict(await self._call.initial_metadata()):
            await self._response()

    async def send(
        self, source: AsyncIterable[bytes], expected_bytes: int, progress: Progress
    ) -> UploadContentResponse:
        """Upload everything that a source yields, after `begin`; return the answer.

        Raises:
            grpc.aio.AioRpcError: the service refused; nothing was changed.
            Exception: whatever the source raises; nothing was changed.
        """
        size_bytes, digest = 0, hashlib.sha256()
        async for data in source:
            for block in _cut(data):
                await self._write(UploadContentRequest(data=block))
                digest.update(block)
                size_bytes += len(block)
                progress(size_bytes, expected_bytes or None)
        finish = UploadContentRequest.Finish(size_bytes=size_bytes, sha256=digest.hexdigest())
        await self._write(UploadContentRequest(finish=finish))
        await self._call.done_writing()
        return await self._response()

    def cancel(self) -> None:
        """Cancel the call if it is running."""
        self._call.cancel()

    async def _write(self, message: UploadContentRequest) -> None:
        try:
            await self._call.write(message)
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            await self._response()
            raise

    async def _response(self) -> UploadContentResponse:
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise self._status.refusal or error from error


def whole_upload_method(
    channel: grpc.aio.Channel,
) -> grpc.aio.UnaryUnaryMultiCallable[UploadContentRequest, UploadContentResponse]:
    """Return UploadContent for uploads of one message.

    On the wire a stream of one message equals a unary request, which costs grpc.aio a quarter of
    the CPU time.
    """
    return channel.unary_unary(
        f"/{_SERVICE.full_name}/UploadContent",
        request_serializer=UploadContentRequest.SerializeToString,
        response_deserializer=UploadContentResponse.FromString,
    )


def whole_upload(header: UploadContentRequest.Header, data: bytes) -> UploadContentRequest:
    """Return an upload as one message."""
    digest = hashlib.sha256(data).hexdigest()
    finish = UploadContentRequest.Finish(size_bytes=len(data), sha256=digest)
    return UploadContentRequest(header=header, data=data, finish=finish)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """An open file to be uploaded.

    Attributes:
        blocks: Yields the content.
        whole: The content if it fits into one message, else None.
    """

    blocks: AsyncIterable[bytes]
    size_bytes: int
    whole: bytes | None


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[OpenedFile]:
    """Yield a file as a source.

    Raises:
        OSError: it cannot be read.
    """
    file, size_bytes, head = await open_with_head(path, _MESSAGE_BYTES)
    try:
        whole = head if len(head) == size_bytes else None
        yield OpenedFile(_blocks(file, head, size_bytes), size_bytes, whole)
    finally:
        file.close()  # not in a thread: a cancelled task may never get one from a busy pool


async def _blocks(file: BinaryIO, head: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    """Yield the content of a file, without a last read that only finds its end."""
    read_bytes, block = 0, head
    while block:
        yield block
        read_bytes += len(block)
        if read_bytes == size_bytes:
            return
        block = await asyncio.to_thread(file.read, _MESSAGE_BYTES)


def _cut(data: bytes) -> list[bytes]:
    if len(data) <= _MESSAGE_BYTES:
        return [data] if data else []
    return [data[at : at + _MESSAGE_BYTES] for at in range(0, len(data), _MESSAGE_BYTES)]
