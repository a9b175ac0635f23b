"""Downloads: audio received from the service. A download that ends without an error is complete."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import grpc
import grpc.aio

from kazoo_media import durable
from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.files import create_file
from kazoo_media.client.uploads import Progress
from kazoo_media.v1 import media_pb2
from kazoo_media.v1.media_service_pb2 import DownloadContentRequest, DownloadContentResponse

Call: TypeAlias = grpc.aio.UnaryStreamCall[DownloadContentRequest, DownloadContentResponse]
_Messages: TypeAlias = AsyncIterator[DownloadContentResponse]


class Download:
    """A running download: iterate over it to get the bytes.

    The iteration ends after all bytes have arrived and, for a whole rendition, the digest matched.
    In every other case it raises MediaServiceError.

    Attributes:
        rendition: The rendition; its `size_bytes` is the whole size, regardless of the range.
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
        """Return the download of a new call after its header has arrived.

        Raises:
            grpc.aio.AioRpcError: the service refused.
            MediaServiceError: the first message is not a header.
        """
        messages = aiter(call)
        first = await anext(messages, None)
        if first is None or not first.HasField("header"):
            raise _incomplete("the service sent no download header")
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
            raise _incomplete(f"only {size_bytes} of {self.length_bytes} bytes arrived")
        is_whole = self.length_bytes == self.rendition.size_bytes
        if is_whole and digest.hexdigest() != self.rendition.sha256:
            raise _incomplete("the SHA-256 of the received bytes does not match: download it again")


async def save(download: Download, destination: Path, progress: Progress) -> None:
    """Write a download to a file that appears when it is complete and durable.

    The bytes go to a hidden file in the same folder, which replaces the destination at the end.
    After any error the hidden file is removed and the destination is unchanged; a process that is
    killed leaves the hidden file.

    Raises:
        MediaServiceError: the download is incomplete.
        OSError: the file cannot be written.
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
        durable.publish([(file.fileno(), draft, destination)])


def _discard(file: BinaryIO | None, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    if file is not None:
        file.close()


def _incomplete(message: str) -> MediaServiceError:
    return MediaServiceError(grpc.StatusCode.DATA_LOSS, "INCOMPLETE_DOWNLOAD", message)
