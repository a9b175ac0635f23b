"""Follows an upload through cuts and restarts of the service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from kazoo_media.client.back_off import BackOff
from kazoo_media.client.connection import Connection, Metadata
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.v1 import upload_service_pb2_grpc
from kazoo_media.v1.upload_service_pb2 import TailUploadRequest, TailUploadResponse

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


async def tail_all(
    connection: Connection,
    uploads: upload_service_pb2_grpc.UploadServiceAsyncStub,
    request: TailUploadRequest,
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of an upload until it ends, with as many calls as it takes.

    Raises:
        MediaServiceError: the first call has failed, or the service refused a later one.
    """
    start, wav_header_bytes, yielded_bytes = request.offset_bytes, 0, 0
    back_off, has_begun = BackOff(), False
    while True:
        wanted = start + max(0, yielded_bytes - wav_header_bytes)
        try:
            async with _opened(connection, uploads, request, wanted) as (header, messages):
                if not has_begun:
                    start = wanted = header.offset_bytes
                    wav_header_bytes, has_begun = header.wav_header_bytes, True
                # Each call sends the WAV header again, and begins with a whole sample.
                known = min(yielded_bytes, wav_header_bytes) + wanted - header.offset_bytes
                async for message in messages:
                    data = message.data[known:]
                    known -= len(message.data) - len(data)
                    yielded_bytes += len(data)
                    if data:
                        back_off.reset()
                        yield data
                return
        except MediaServiceError as error:
            if not has_begun or _is_final(error):
                raise
        await back_off.wait()


@asynccontextmanager
async def _opened(
    connection: Connection,
    uploads: upload_service_pb2_grpc.UploadServiceAsyncStub,
    request: TailUploadRequest,
    offset_bytes: int,
) -> AsyncIterator[tuple[TailUploadResponse.Header, AsyncIterator[TailUploadResponse]]]:
    """Open a call at an offset and yield its header and its further messages.

    Raises:
        MediaServiceError: the call was refused, or it was broken off while it was open.
    """
    at = TailUploadRequest()
    at.CopyFrom(request)
    at.offset_bytes = offset_bytes
    calls: list[grpc.aio.UnaryStreamCall[TailUploadRequest, TailUploadResponse]] = []

    async def attempt(
        metadata: Metadata,
    ) -> tuple[TailUploadResponse.Header, AsyncIterator[TailUploadResponse]]:
        calls.append(uploads.TailUpload(at, metadata=metadata))
        messages = aiter(calls[-1])
        first = await anext(messages, TailUploadResponse())
        return first.header, messages

    try:
        yield await connection.authorized(attempt)
    except grpc.aio.AioRpcError as error:
        raise MediaServiceError.of(error) from error
    finally:
        for call in calls:
            call.cancel()


def _is_final(error: MediaServiceError) -> bool:
    """Return whether the service itself has said that trying again cannot help."""
    return bool(error.reason) and error.code not in _AWAY
