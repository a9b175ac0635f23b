"""A backlog between a writer, a disk that fails and a service, without any of the three."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from kazoo_media.client import (
    Media,
    MediaServiceError,
    PauseMode,
    RawAudio,
    RawEncoding,
    SpooledUpload,
    UploadSpec,
)
from kazoo_media.client.backlog import Backlog
from kazoo_media.client.spool import Mark, Spool
from kazoo_media.client.spool_writer import SpoolWriter
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest
from tests.support.full_disk import disk_full_at

RAW = RawAudio(encoding=RawEncoding.RAW_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1)
UPLOAD = SpooledUpload("system", "call", UploadSpec(media=Media(name="Call"), raw=RAW))
FINISH = AppendUploadRequest.Finish()
SENT = bytes(range(1, 101))


class Recording:
    """A backlog and its spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder, UPLOAD, 1)
        self.backlog = Backlog(self.spool, RAW, lambda: None)

    async def store(self, data: bytes = b"") -> None:
        """Do what a fifth of a second brings."""
        if data:
            self.backlog.put(data)
        if (batch := self.backlog.take()) is not None:
            self.backlog.stored(batch, await asyncio.to_thread(batch.write))

    async def send(self, stored: bytearray) -> list[Mark]:
        """Append to what a service has until nothing is left, and return the marks."""
        await self.backlog.place(len(stored))
        self.backlog.put_finish(FINISH)
        await self.store()
        await self.store()
        marks = []
        async for message in self.backlog.messages(len(stored)):
            if message.HasField("mark"):
                marks.append(message.mark)
            stored += message.data
            self.backlog.acknowledge(len(stored))
        return marks


Begin: TypeAlias = Callable[[Path], Awaitable[Recording]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Return a function that begins a recording or goes on with one."""
    with ExitStack() as stack:

        async def open_recording(folder: Path) -> Recording:
            recording = await asyncio.to_thread(Recording, folder)
            stack.callback(recording.spool.close)
            return recording

        yield open_recording


def killed(recording: Recording) -> Path:
    """Return a folder with what is left if the process is killed now."""
    left = Path(tempfile.mkdtemp(dir=recording.folder.parent))
    shutil.copytree(recording.folder, left, dirs_exist_ok=True)
    return left


async def test_bytes_of_another_recorder_replace_none_of_its_own(
    tmp_path: Path, begin: Begin
) -> None:
    recording = await begin(tmp_path / "spool")
    await recording.store(SENT)
    await recording.backlog.place(0)
    messages = recording.backlog.messages(0)
    assert (await anext(messages)).data == SENT
    await recording.store(b"only here")
    with pytest.raises(MediaServiceError, match="bytes of another recorder") as caught:
        await recording.backlog.place(105)
    assert caught.value.reason == "CONTENT_MISMATCH"
    assert await asyncio.to_thread(recording.spool.read, 100, 100) == b"only here"


async def test_a_spool_that_the_service_has_more_of_says_so(
    tmp_path: Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    first = await begin(tmp_path / "spool")
    await first.store(SENT)
    await first.backlog.place(0)
    second = await begin(killed(first))
    await second.store(b"more")
    stored = bytearray(150)
    await second.send(stored)
    assert stored == bytes(150) + b"more"
    assert "has 100 bytes, the service 150" in caplog.text


async def test_a_full_disk_at_the_first_answer_and_a_kill_record_nothing_twice(
    tmp_path: Path, begin: Begin
) -> None:
    first = await begin(tmp_path / "spool")
    with disk_full_at(0):
        await first.backlog.place(0)
    await first.store(SENT)
    second = await begin(killed(first))
    await second.store(b"more")
    stored = bytearray(SENT[:80])
    await second.send(stored)
    assert stored == SENT + b"more"


async def test_a_full_disk_at_a_pause_and_a_kill_end_no_pause(tmp_path: Path, begin: Begin) -> None:
    first = await begin(tmp_path / "spool")
    await first.store(SENT)
    await first.backlog.place(0)
    first.backlog.put_mark(Mark(pause=PauseMode.PAUSE_MODE_SILENCE))
    with disk_full_at(0):
        await first.store()
        losses = [first.backlog.loss]
    await first.store()
    losses.append(first.backlog.loss)
    assert list(map(bool, losses)) == [True, False]
    second = await begin(killed(first))
    await second.store(b"4711")
    stored = bytearray(SENT)
    await second.send(stored)
    assert stored == SENT + b"\xff" * 4


async def test_what_only_the_service_has_taken_is_no_gap(tmp_path: Path, begin: Begin) -> None:
    first = await begin(tmp_path / "spool")
    await first.store(SENT)
    await first.backlog.place(0)
    [segment] = first.spool.folder.glob("0*")
    long_ago = time.time() - 1000
    os.utime(segment, (long_ago, long_ago))
    first.backlog.put_mark(Mark(resume=True))
    with disk_full_at(0):
        await first.store(b"in memory")
        first.backlog.acknowledge(109)
        await first.store(b"and more")
    second = await begin(killed(first))
    await second.store(b"new")
    marks = await second.send(bytearray(SENT + b"in memory"))
    assert all(mark.gap_ms < 500_000 for mark in marks)


async def test_a_disk_that_fails_is_tried_with_little_and_gets_all_later(
    tmp_path: Path, begin: Begin
) -> None:
    recording = await begin(tmp_path / "spool")
    with pytest.raises(ValueError, match="too many at once"):
        recording.backlog.put(bytes((16 << 20) + 1))
    with disk_full_at(0):
        await recording.store(bytes(5 << 20))
        batch = recording.backlog.take()
        assert batch is not None
        assert len(batch.data) == 1 << 20
    for _ in range(5):
        await recording.store()
    assert recording.spool.end == 5 << 20
    assert not recording.backlog.is_behind


async def test_a_cancelled_task_still_leaves_everything_in_the_spool(
    tmp_path: Path, begin: Begin
) -> None:
    recording = await begin(tmp_path / "spool")
    recording.backlog.put(bytes(3 << 20))
    leaving = asyncio.ensure_future(SpoolWriter().remove(recording.backlog))
    await asyncio.sleep(0)  # it has begun to write
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert recording.spool.end == 3 << 20
