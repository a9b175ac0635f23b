"""The promises of a recording, on the core directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from kazoo_media.access.accounts import WriteScope
from kazoo_media.core import Core
from kazoo_media.errors import MediaError
from kazoo_media.metadata.uploads import UploadRow
from kazoo_media.model import RenditionKind
from kazoo_media.recordings.spec import Ending, UploadSpec
from kazoo_media.recordings.stream import Stream
from kazoo_media.recordings.time_line import Mark, PauseMode
from kazoo_media.recordings.upload import Outcome, Upload, seen_state
from tests.contract.recording_driver import (
    SPEC,
    RecordingDriver,
    RecordingRefusedError,
    RecordingStream,
    Seen,
)
from tests.contract.recording_promises import RecordingPromises
from tests.support.core_fixtures import core_on_disk, stored_bytes

_SCOPE = WriteScope("a" * 32)
_MESSAGE_BYTES = 3 * 1024 * 1024


@contextmanager
def _converted_errors() -> Iterator[None]:
    try:
        yield
    except MediaError as error:
        raise RecordingRefusedError(error.reason, error.facts, error.message) from error


def _seen(row: UploadRow) -> Seen:
    upload = Upload(row)
    return Seen(upload.state, row.persisted_size, row.crc32c, upload.pause)


def _ended(outcome: Outcome) -> Seen:
    media_id = outcome.media.id if outcome.media else ""
    return Seen(
        seen_state(outcome.row),
        outcome.row.persisted_size,
        outcome.row.crc32c,
        media_id=media_id,
    )


class _CoreStream(RecordingStream):
    def __init__(self, core: Core, stream: Stream) -> None:
        self._recordings = core.recordings
        self._stream = stream

    @override
    async def send(
        self,
        offset: int,
        data: bytes = b"",
        *,
        crc32c: int | None = None,
        mark: Mark | None = None,
        flush: bool = False,
    ) -> None:
        with _converted_errors():
            try:
                if mark is not None:
                    self._stream.mark(offset, mark)
                await self._stream.append(offset, data, crc32c)
                if flush:
                    self._stream.flush_soon()
            except MediaError:
                self._stream.close()
                raise

    @override
    async def acknowledged(self, size: int) -> Seen:
        with _converted_errors():
            row = self._stream.row
            if row.persisted_size < size:
                never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                async for row in self._stream.acknowledgements(never):
                    if row.persisted_size >= size:
                        break
            return _seen(row)

    @override
    async def finish(self, size: int, sha256: str = "", reason: str = "", **extra: Any) -> Seen:
        ending = Ending(size_bytes=size, sha256=sha256, reason=reason, extra=extra)
        with _converted_errors():
            try:
                return _ended(await self._recordings.finish(self._stream, ending))
            finally:
                self._stream.close()

    @override
    async def vanish(self) -> None:
        self._stream.close()


class _CoreDriver(RecordingDriver):
    def __init__(self, core: Core) -> None:
        self._core = core
        self._recordings = core.recordings

    @override
    async def open(self, upload_id: str, spec: UploadSpec = SPEC) -> tuple[RecordingStream, Seen]:
        with _converted_errors():
            stream = await self._recordings.open(_SCOPE, upload_id, spec)
            return _CoreStream(self._core, stream), _seen(stream.row)

    @override
    async def get(self, upload_id: str) -> Seen:
        with _converted_errors():
            return _seen((await self._recordings.get(_SCOPE, upload_id)).row)

    @override
    async def list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        start: str | None = ""
        while start is not None:
            uploads, start = await self._recordings.list_page(_SCOPE, start, 2)
            found |= {each.row.id: each.state for each in uploads}
        return found

    @override
    async def pause(self, upload_id: str, mode: PauseMode) -> Seen:
        with _converted_errors():
            return _seen((await self._recordings.pause(_SCOPE, upload_id, mode)).row)

    @override
    async def resume(self, upload_id: str) -> Seen:
        with _converted_errors():
            return _seen((await self._recordings.resume(_SCOPE, upload_id)).row)

    @override
    async def end(self, upload_id: str, *, keep: bool) -> Seen:
        with _converted_errors():
            reason = "finished_by_request"
            return _ended(
                await self._recordings.finish_abandoned(_SCOPE, upload_id, reason, keep=keep)
            )

    @override
    async def tail(self, upload_id: str, offset: int = 0) -> AsyncIterator[bytes]:
        with _converted_errors():
            tail = await self._recordings.tail(_SCOPE, upload_id, offset)
        if tail.wav_header:
            yield tail.wav_header
        async for chunk in tail.chunks:
            yield chunk

    @override
    async def original(self, media_id: str) -> bytes:
        return await stored_bytes(self._core, _SCOPE, media_id, RenditionKind.ORIGINAL)

    @override
    async def document(self, media_id: str) -> Mapping[str, Any]:
        return (await self._core.library.get(_SCOPE, media_id)).document


class TestRecordingsInTheCore(RecordingPromises):
    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[RecordingDriver]:
        async with core_on_disk(tmp_path) as tested, tested.core.recordings.running():
            yield _CoreDriver(tested.core)
