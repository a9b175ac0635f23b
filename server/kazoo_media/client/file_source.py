"""A file as the source of an upload."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Self

from kazoo_media.client.files import open_with_head
from kazoo_media.client.uploads import Progress
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest

_MESSAGE_BYTES = 512 * 1024


class FileSource:
    """An open file. Each stream reads it from where the service is."""

    def __init__(self, file: BinaryIO, size_bytes: int, progress: Progress) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._progress = progress

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: Path, progress: Progress) -> AsyncIterator[Self]:
        """Yield a file as a source.

        Raises:
            OSError: it cannot be read.
        """
        file, size_bytes, _ = await open_with_head(path, 0)
        try:
            yield cls(file, size_bytes, progress)
        finally:
            file.close()

    async def place(self, persisted_size: int) -> None:
        """Take note of the first answer of a stream."""
        self.acknowledge(persisted_size)

    def acknowledge(self, persisted_size: int) -> None:
        """Show the progress."""
        self._progress(persisted_size, self._size_bytes)

    async def messages(self, persisted_size: int) -> AsyncIterator[AppendUploadRequest]:
        """Yield the rest of the file and the finish.

        Raises:
            OSError: the file cannot be read.
        """
        digest = await asyncio.to_thread(self._digest_of, persisted_size)
        at = persisted_size
        while data := await asyncio.to_thread(self._read, at):
            digest.update(data)
            yield AppendUploadRequest(write_offset=at, data=data)
            at += len(data)
        finish = AppendUploadRequest.Finish(size_bytes=at, sha256=digest.hexdigest())
        yield AppendUploadRequest(finish=finish)

    def _read(self, at: int) -> bytes:
        # A read of a stream that was cut may still run: no common position.
        return os.pread(self._file.fileno(), _MESSAGE_BYTES, at)

    def _digest_of(self, size_bytes: int) -> hashlib._Hash:
        digest, at = hashlib.sha256(), 0
        while at < size_bytes and (data := self._read(at)):
            digest.update(data[: size_bytes - at])
            at += len(data)
        return digest
