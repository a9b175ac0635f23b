"""Sends audio to the service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import grpc
import grpc.aio

from kazoo_media.client.files import open_with_head
from kazoo_media.v1 import media_service_pb2
from kazoo_media.v1.media_service_pb2 import UploadContentRequest, UploadContentResponse

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes transferred so far and, where it is known, how many there will be."""

Call: TypeAlias = grpc.aio.StreamUnaryCall[UploadContentRequest, UploadContentResponse]

_SERVICE = media_service_pb2.DESCRIPTOR.services_by_name["MediaService"]
_MESSAGE_BYTES = 512 * 1024
_INVITATION_KEY = "x-request-id"


async def begin(call: Call, header: UploadContentRequest.Header) -> None:
    """Announce an upload over a fresh call; return when the service wants the bytes.

    Raises:
        grpc.aio.AioRpcError: it refused; nothing was taken from any source.
    """
    await _write(call, UploadContentRequest(header=header))
    # A refusal brings no initial metadata of the service's own; its status may come a moment later.
    if _INVITATION_KEY not in dict(await call.initial_metadata()):
        await call


def whole_upload_method(
    channel: grpc.aio.Channel,
) -> grpc.aio.UnaryUnaryMultiCallable[UploadContentRequest, UploadContentResponse]:
    """Return UploadContent for uploads that are one message.

    A stream of one message is, in HTTP/2, what a call with one request is; grpc.aio makes the
    latter for a quarter of the CPU time of the former.
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


async def send(
    call: Call, source: AsyncIterable[bytes], expected_bytes: int, progress: Progress
) -> UploadContentResponse:
    """Upload all that a source yields over a call that has begun; return the answer.

    Raises:
        grpc.aio.AioRpcError: the service refused; nothing was changed.
        Exception: whatever the source raises; nothing was changed.
    """
    size_bytes, digest = 0, hashlib.sha256()
    async for data in source:
        for block in _cut(data):
            await _write(call, UploadContentRequest(data=block))
            digest.update(block)
            size_bytes += len(block)
            progress(size_bytes, expected_bytes or None)
    await _finish(call, size_bytes, digest)
    return await call


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is to be uploaded.

    Attributes:
        blocks: All of it.
        whole: All of it, where that is no more than one message.
    """

    blocks: AsyncIterable[bytes]
    size_bytes: int
    whole: bytes | None


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[OpenedFile]:
    """Yield a file as a source.

    Raises:
        OSError: it can not be read.
    """
    file, size_bytes, head = await open_with_head(path, _MESSAGE_BYTES)
    try:
        whole = head if len(head) == size_bytes else None
        yield OpenedFile(_blocks(file, head, size_bytes), size_bytes, whole)
    finally:
        file.close()  # here: a cancelled task's turn in a busy pool of threads may never come


async def _finish(call: Call, size_bytes: int, digest: hashlib._Hash) -> None:
    finish = UploadContentRequest.Finish(size_bytes=size_bytes, sha256=digest.hexdigest())
    await _write(call, UploadContentRequest(finish=finish))
    await call.done_writing()


async def _write(call: Call, message: UploadContentRequest) -> None:
    try:
        await call.write(message)
    except asyncio.InvalidStateError:
        await call  # it is over already: its status says why
        raise


async def _blocks(file: BinaryIO, head: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    """Yield a file. No read only looks for its end."""
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
