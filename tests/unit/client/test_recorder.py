"""A recorder against a real service in the same loop."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from kazoo_media.client import (
    Client,
    Media,
    PauseMode,
    RecordingRefusedError,
    UploadSpec,
    channels,
    spooled_uploads,
)
from kazoo_media.client import client as client_module
from kazoo_media.client.connection import open_channel
from tests.rpc.service import Service
from tests.unit.client.calls import RAW, SPEC, audio, content, files

SECRET = b"4711" * 4000


def keys(media: Media | None) -> dict[str, Any]:
    assert media is not None
    return MessageToDict(media.extra)


async def test_what_is_written_becomes_the_recording_and_the_spool_goes(
    client: Client, tmp_path: Path
) -> None:
    sent = audio(1_000_000)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        for at in range(0, len(sent), 999):  # not whole samples
            recorder.write(sent[at : at + 999])
        await recorder.flush()
        assert recorder.persisted_size == len(sent)
        media = await recorder.finish("hangup", {"call_id": "a-1"})
        with pytest.raises(ValueError, match="finished"):
            recorder.write(b"more")
    assert await content(client, media) == sent
    assert keys(media)["end_reason"] == "hangup"
    assert keys(media)["call_id"] == "a-1"
    assert not files(tmp_path)


async def test_a_thread_may_write(client: Client, tmp_path: Path) -> None:
    sent = audio(600_000)

    def call() -> None:
        for at in range(0, len(sent), 320):
            recorder.write(sent[at : at + 320])

    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        thread = threading.Thread(target=call)
        thread.start()
        await asyncio.to_thread(thread.join)
        media = await recorder.finish()
    assert await content(client, media) == sent


async def test_audio_waits_in_the_spool_for_a_service_that_is_away(
    address: str, service: Service, tmp_path: Path
) -> None:
    sent = audio(3_000_000)
    away = tmp_path / "away"
    async with Client(f"unix:{away}", api_key=service.admin_key) as client:
        async with client.recorder("system", "call", SPEC, tmp_path / "spool") as recorder:
            for at in range(0, len(sent), 10_000):
                recorder.write(sent[at : at + 10_000])
                await recorder.drain()
            finishing = asyncio.ensure_future(recorder.finish())
            await asyncio.to_thread(os.symlink, address.removeprefix("unix:"), away)
            media = await finishing
        assert await content(client, media) == sent


async def test_a_pause_reaches_neither_spool_nor_service(client: Client, tmp_path: Path) -> None:
    before, after = audio(8000), audio(8000, seed=2)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(before)
        recorder.pause()
        recorder.write(SECRET)
        await recorder.flush()
        kept = b"".join(path.read_bytes() for path in files(tmp_path))
        recorder.resume()
        recorder.write(after)
        media = await recorder.finish()
    assert before in kept
    assert SECRET[:40] not in kept
    assert await content(client, media) == before + bytes(len(SECRET)) + after
    assert [each["mark"] for each in keys(media)["time_line"]] == ["pause", "resume"]


async def test_a_recorder_that_was_left_goes_on_still_paused_with_a_gap(
    client: Client, tmp_path: Path
) -> None:
    before, after = audio(8000), audio(8000, seed=2)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(before)
        recorder.pause(PauseMode.PAUSE_MODE_SKIP)
        recorder.write(SECRET)
    [left] = await asyncio.to_thread(spooled_uploads, tmp_path)
    assert (left.account_id, left.upload_id, left.spec) == ("system", "call", SPEC)
    [newest] = [path for path in files(tmp_path) if path.name != "journal"]
    long_ago = newest.stat().st_mtime - 2
    os.utime(newest, (long_ago, long_ago))
    async with client.recorder("system", "call", left.spec, tmp_path) as recorder:
        recorder.write(SECRET)
        recorder.resume()
        recorder.write(after)
        media = await recorder.finish()
    assert await content(client, media) == before + after
    marks = keys(media)["time_line"]
    assert [each["mark"] for each in marks] == ["pause", "gap", "resume"]
    assert 1900 < marks[1]["gap_ms"] < 30_000
    assert not files(tmp_path)


async def test_another_spool_goes_on_after_what_the_service_has(
    client: Client, tmp_path: Path
) -> None:
    before, after = audio(8000), audio(8000, seed=2)
    async with client.recorder("system", "call", SPEC, tmp_path / "lost") as recorder:
        recorder.write(before)
        await recorder.flush()
    async with client.recorder("system", "call", SPEC, tmp_path / "new") as recorder:
        recorder.write(after[:5000])
        await recorder.flush()
    async with client.recorder("system", "call", SPEC, tmp_path / "new") as recorder:
        await recorder.flush()
        recorder.write(after[5000:])
        media = await recorder.finish()
    samples = await content(client, media)
    assert samples.startswith(before + after[:5000])
    assert samples.endswith(after[5000:])


async def test_the_older_of_two_recorders_stops_for_good_and_says_where_its_audio_is(
    client: Client, tmp_path: Path
) -> None:
    sent = audio(8000)
    async with client.recorder("system", "call", SPEC, tmp_path / "old") as old:
        old.write(sent)
        await old.flush()
        async with client.recorder("system", "call", SPEC, tmp_path / "new") as new:
            await new.flush()
            old.write(b"later!")
            with pytest.raises(RecordingRefusedError) as caught:
                await old.finish()
            assert caught.value.reason == "TAKEN_OVER"
            assert old.error is caught.value
            assert str(caught.value.spool) in str(caught.value)
            kept = b"".join(path.read_bytes() for path in files(caught.value.spool))
            assert b"later!" in kept
            assert await content(client, await new.finish()) == sent


@pytest.mark.parametrize(
    ("key", "spec", "reason"),
    [
        ("", UploadSpec(media=Media(name="Other"), raw=RAW), "SPEC_MISMATCH"),
        ("wrong", SPEC, "INVALID_CREDENTIALS"),
    ],
)
async def test_what_cannot_be_recorded_keeps_its_spool(
    client: Client, address: str, tmp_path: Path, key: str, spec: UploadSpec, reason: str
) -> None:
    async with client.recorder("system", "call", SPEC, tmp_path / "first") as recorder:
        await recorder.flush()
        async with (
            Client(address, api_key=key) if key else client as other,
            other.recorder("system", "call", spec, tmp_path / "second") as refused,
        ):
            refused.write(b"kept")
            with pytest.raises(RecordingRefusedError) as caught:
                await refused.finish()
            with pytest.raises(RecordingRefusedError):
                await refused.drain()
    assert caught.value.reason == reason
    assert b"kept" in b"".join(path.read_bytes() for path in files(caught.value.spool))


async def test_an_upload_that_somebody_else_ended_is_not_taken_for_complete(
    client: Client, tmp_path: Path
) -> None:
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(audio(8000))
        await recorder.flush()
    await client.finish_upload("system", "call", keep=True)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(audio(8000))
        with pytest.raises(RecordingRefusedError) as caught:
            await recorder.finish()
    assert caught.value.reason == "UPLOAD_ENDED"
    assert files(tmp_path)


async def test_a_finish_whose_answer_was_lost_is_answered_again(
    client: Client, tmp_path: Path
) -> None:
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(audio(8000))
        first = await recorder.finish()
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        assert await recorder.finish() == first


async def test_a_spool_has_one_recorder_at_a_time(client: Client, tmp_path: Path) -> None:
    async with client.recorder("system", "call", SPEC, tmp_path):
        with pytest.raises(OSError, match="another recorder uses this spool"):
            await client.recorder("system", "call", SPEC, tmp_path).__aenter__()
    with pytest.raises(ValueError, match="must be 1 to 128"):
        await client.recorder("system", "../call", SPEC, tmp_path).__aenter__()


async def test_acknowledged_audio_leaves_the_disk(client: Client, tmp_path: Path) -> None:
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        for _ in range(5):
            recorder.write(audio(1 << 20))
            await recorder.flush()
        recorder.write(b"\0\0")
        await recorder.flush()
        assert sum(path.stat().st_size for path in files(tmp_path)) < 2.5 * (1 << 20)
        digest = hashlib.sha256(audio(1 << 20) * 5 + b"\0\0").hexdigest()
        samples = await content(client, await recorder.finish())
    assert hashlib.sha256(samples).hexdigest() == digest


async def test_a_cancellation_in_the_moment_of_leaving_is_not_lost(
    client: Client, tmp_path: Path
) -> None:
    async def record() -> None:
        async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
            recorder._appending.add_done_callback(lambda _: recording.cancel())

    recording = asyncio.ensure_future(record())
    with pytest.raises(asyncio.CancelledError):
        await recording
    async with client.recorder("system", "call", SPEC, tmp_path):  # nobody holds the spool
        pass


async def test_recorders_share_connections_up_to_the_streams_that_one_carries(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[grpc.aio.Channel] = []

    async def open_counted(*arguments: Any) -> grpc.aio.Channel:
        opened.append(await open_channel(*arguments))
        return opened[-1]

    monkeypatch.setattr(channels, "_MOST_STREAMS", 2)
    monkeypatch.setattr(client_module, "open_channel", open_counted)
    async with Client(client._target, client._identity[0]) as crowded, AsyncExitStack() as stack:
        opened.clear()
        recorders = [crowded.recorder("system", f"c{n}", SPEC, tmp_path) for n in range(5)]
        for recorder in recorders:
            await stack.enter_async_context(recorder)
            recorder.write(audio(1000))
        await asyncio.gather(*(recorder.flush() for recorder in recorders))
        assert len(opened) == 3
