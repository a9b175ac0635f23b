"""Streams of one process: how they end, and what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.errors import (
    DrainingError,
    StorageFullError,
    TooLargeError,
    UploadEndedError,
    ValidationError,
)
from kazoo_media.metadata.uploads import UploadState
from kazoo_media.recordings.recordings import Recordings
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.time_line import Gap
from tests.contract.recording_driver import SPEC, audio
from tests.support.core_fixtures import CoreUnderTest, make_core

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
async def tested() -> AsyncIterator[CoreUnderTest]:
    tested = await make_core()
    async with tested.core.recordings.running():
        yield tested


@pytest.fixture
def recordings(tested: CoreUnderTest) -> Recordings:
    return tested.core.recordings


async def test_a_drain_keeps_all_that_arrived_and_sends_the_recorders_away(
    recordings: Recordings,
) -> None:
    streams = [await recordings.open(_SCOPE, name, SPEC) for name in ("a", "b")]
    await streams[0].append(0, audio(100))
    await streams[0].flush()
    for stream in streams:
        await stream.append(stream.received_size, audio(50))
    await recordings.drain()
    for stream, size in zip(streams, (150, 50), strict=True):
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        assert stream.row.persisted_size == size
        with pytest.raises(DrainingError):
            await anext(stream.acknowledgements(never))
        with pytest.raises(DrainingError):
            await stream.append(size, b"more")
        stored = (await recordings.get(_SCOPE, stream.row.id)).row
        assert (stored.state, stored.persisted_size) == (UploadState.INTERRUPTED, size)
    with pytest.raises(DrainingError):
        await recordings.open(_SCOPE, "a", SPEC)


async def test_a_drain_sends_those_away_who_listen(recordings: Recordings) -> None:
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(100))
    await stream.flush()
    tail = await recordings.tail(_SCOPE, "call", 0)
    assert await anext(tail.chunks) == audio(100)
    await recordings.drain()
    with pytest.raises(DrainingError):
        await anext(tail.chunks)


async def test_a_drain_waits_for_a_flush_that_runs_already(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, whole = tested.core.recordings, tested.metadata.append_tails
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow(appends: object) -> object:
        begun.set()
        await gate.wait()
        await asyncio.sleep(0.01)  # as the second flush, too, takes its time
        return await whole(appends)  # type: ignore[arg-type]

    monkeypatch.setattr(tested.metadata, "append_tails", slow)
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(800))
    stream.flush_soon()
    await begun.wait()
    await stream.append(800, audio(800))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recordings.drain())
        gate.set()
    stored = (await recordings.get(_SCOPE, "call")).row
    assert (stored.state, stored.persisted_size) == (UploadState.INTERRUPTED, 1600)


async def test_a_container_is_recognized_however_it_is_cut(recordings: Recordings) -> None:
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, b"RI")
    with pytest.raises(ValidationError, match="WAV"):
        await stream.append(2, b"FF" + bytes(100))
    await stream.append(2, bytes(100))  # what it has so far stays


@pytest.mark.parametrize("key", ["id", "prompt_id", "media_source", "tts"])
async def test_a_finish_cannot_make_something_else_of_a_recording(
    recordings: Recordings, key: str
) -> None:
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(800))
    extra = {key: "menu", "language": "en-us"}
    with pytest.raises(ValidationError, match=key):
        await recordings.finish(stream, Ending(size_bytes=800, extra=extra))
    with pytest.raises(ValidationError):
        await recordings.finish(stream, Ending(size_bytes=800, extra={"language": 5}))
    outcome = await recordings.finish(stream, Ending(size_bytes=800, extra={"to": "100"}))
    assert outcome.media is not None
    assert outcome.media.document["to"] == "100"


async def test_a_full_disk_ends_the_streams_and_they_go_on_when_there_is_space(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = tested.core.recordings

    async def full(*_: object) -> None:
        raise StorageFullError

    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(100))
    await stream.flush()
    with monkeypatch.context() as patch:
        patch.setattr(tested.metadata, "append_tails", full)
        await stream.append(100, audio(50))
        with pytest.raises(StorageFullError):
            await stream.flush()
    stream.close()
    stream = await recordings.open(_SCOPE, "call", SPEC)
    assert stream.received_size == 100
    await stream.append(100, audio(50))
    outcome = await recordings.finish(stream, Ending(size_bytes=150))
    assert outcome.row.state is UploadState.FINISHED


async def test_an_ended_upload_takes_nothing(recordings: Recordings) -> None:
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(8))
    await recordings.finish(stream, Ending(size_bytes=8))
    for ended in (stream, await recordings.open(_SCOPE, "call", SPEC)):
        with pytest.raises(UploadEndedError):
            await ended.append(8, b"more")


async def test_the_silence_of_gaps_counts_towards_the_limit(recordings: Recordings) -> None:
    stream = await recordings.open(_SCOPE, "call", replace(SPEC, max_bytes=1000))
    stream.mark(0, Gap(100))  # 800 bytes
    stream.mark(0, Gap(100))  # sent again after a reconnect: still one gap
    with pytest.raises(TooLargeError):
        stream.mark(0, Gap(126))
    with pytest.raises(TooLargeError):
        await stream.append(0, audio(201))
    await stream.append(0, audio(200))
    outcome = await recordings.finish(stream, Ending(size_bytes=200))
    assert outcome.media is not None
    assert outcome.media.document["duration_ms"] == 125


async def test_a_slow_store_makes_a_fast_recorder_wait(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker holds little of what is not durable."""
    gate = asyncio.Event()
    whole = tested.metadata.append_tails

    async def slow(appends: object) -> object:
        await gate.wait()
        return await whole(appends)  # type: ignore[arg-type]

    monkeypatch.setattr(tested.metadata, "append_tails", slow)
    stream = await tested.core.recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(1024 * 1024))
    waiting = asyncio.ensure_future(stream.append(1024 * 1024, b"a"))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    gate.set()
    await waiting
    stream.close()


async def test_a_fault_in_a_flush_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flushes nothing would be durable any more, and nobody would be told."""
    tested = await make_core()

    async def faulty(*_: object) -> None:
        raise TypeError

    async def record() -> None:
        async with tested.core.recordings.running():
            stream = await tested.core.recordings.open(_SCOPE, "call", SPEC)
            await stream.append(0, audio(100))
            await stream.flush()

    monkeypatch.setattr(tested.metadata, "append_tails", faulty)
    with pytest.raises(TypeError):
        await record()
