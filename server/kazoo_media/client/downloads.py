"""Receives audio from the service; what looks complete is complete."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import grpc
import grpc.aio

from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.files import create_file
from kazoo_media.client.uploads import Progress
from kazoo_media.v1 import media_pb2
from kazoo_media.v1.media_service_pb2 import DownloadContentRequest, DownloadContentResponse

Call: TypeAlias = grpc.aio.UnaryStreamCall[DownloadContentRequest, DownloadContentResponse]
_Messages: TypeAlias = AsyncIterator[DownloadContentResponse]


class Download:
    """A running download: iterate over it to get the bytes.

    The iteration ends only after all bytes came and, for a whole rendition, had the right digest;
    it raises MediaServiceError in every other case.

    Attributes:
        rendition: What is sent; its `size_bytes` is the whole size, whatever the range.
        offset_bytes: First byte of the range.
        length_bytes: Length of the range.
    """

    def __init__(self, header: DownloadContentResponse.Header, following: _Messages) -> None:
        self.rendition: media_pb2.Rendition = header.rendition
        self.offset_bytes = header.offset_bytes
        self.length_bytes = header.length_bytes
        self._following = following

    @classmethod
    async def begin(cls, call: Call) -> Download:
        """Return the download of a fresh call, when its header has come.

        Raises:
            grpc.aio.AioRpcError: the service refused.
            MediaServiceError: it sent something else than a header.
        """
        messages = aiter(call)
        first = await anext(messages, None)
        if first is None or not first.HasField("header"):
            raise _incomplete("the download has no header")
        return cls(first.header, messages)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size_bytes, digest = 0, hashlib.sha256()
        try:
            async for message in self._following:
                digest.update(message.data)
                size_bytes += len(message.data)
                yield message.data
        except grpc.aio.AioRpcError as error:
            raise MediaServiceError.of(error) from error
        if size_bytes != self.length_bytes:
            raise _incomplete(f"{size_bytes} of {self.length_bytes} bytes arrived")
        is_whole = self.length_bytes == self.rendition.size_bytes
        if is_whole and digest.hexdigest() != self.rendition.sha256:
            raise _incomplete("the bytes that arrived are not those that were sent")


async def save(download: Download, destination: Path, progress: Progress) -> None:
    """Write a download to a file that is complete and durable, or not there at all.

    The bytes go to a hidden file beside it, which takes its place at the end. After any error the
    hidden file is gone and what was at the destination is still there; a process that is killed
    leaves the hidden file.

    Raises:
        MediaServiceError: not all bytes came.
        OSError: the file can not be written.
    """
    draft = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.part")
    file = None
    try:
        file = await create_file(draft)
        size_bytes = 0
        async for data in download:
            await asyncio.to_thread(file.write, data)
            size_bytes += len(data)
            progress(size_bytes, download.length_bytes)
        await asyncio.to_thread(_publish, file, draft, destination)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_discard, file, draft))
        raise


def _publish(file: BinaryIO, draft: Path, destination: Path) -> None:
    with file:
        file.flush()
        os.fsync(file.fileno())
    draft.replace(destination)
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _discard(file: BinaryIO | None, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    if file is not None:
        file.close()


def _incomplete(message: str) -> MediaServiceError:
    return MediaServiceError(grpc.StatusCode.DATA_LOSS, "INCOMPLETE_DOWNLOAD", message)
