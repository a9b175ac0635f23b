from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from kazoo_media.cli import uploads
from kazoo_media.cli.batch import Result, run_batch
from kazoo_media.client import Client, MediaServiceError, appending, back_off
from kazoo_media.client.channels import Channels
from kazoo_media.client.file_source import FileSource
from kazoo_media.v1.upload_service_pb2 import AppendUploadRequest, AppendUploadResponse
from tests.support.audio_samples import noise


def ended(code: grpc.StatusCode, reason: str) -> MediaServiceError:
    return MediaServiceError(code, reason, "for this reason")


TAKEN_OVER = ended(grpc.StatusCode.ABORTED, "TAKEN_OVER")
LOST_HEADER = TimeoutError()
CUT = ended(grpc.StatusCode.UNAVAILABLE, "")
DRAINING = ended(grpc.StatusCode.UNAVAILABLE, "DRAINING")
PROXY = ended(grpc.StatusCode.UNIMPLEMENTED, "")
FULL = ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")


@pytest.mark.parametrize(
    "ends",
    [
        [DRAINING, FULL, PROXY],
        [CUT, DRAINING, LOST_HEADER, TAKEN_OVER],
    ],
)
async def test_a_recorder_comes_back(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> None:
    assert await _append(monkeypatch, ends) == AppendUploadResponse(persisted_size=7)


@pytest.mark.parametrize(
    "ends",
    [
        [TAKEN_OVER],
        [DRAINING, TAKEN_OVER],
        [CUT, TAKEN_OVER],
        [LOST_HEADER, TAKEN_OVER, TAKEN_OVER],
        [ended(grpc.StatusCode.ALREADY_EXISTS, "SPEC_MISMATCH")],
    ],
)
async def test_a_recorder_stops(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> None:
    with pytest.raises(MediaServiceError) as caught:
        await _append(monkeypatch, [*ends, CUT])
    assert caught.value is ends[-1]


async def test_a_file_that_cannot_be_read_stops_no_other(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_read = FileSource._read

    def read(source: FileSource, at: int) -> bytes:
        if source._file.name == str(broken):
            raise OSError(errno.EIO, "the disk is broken")
        return real_read(source, at)

    monkeypatch.setattr(FileSource, "_read", read)
    broken, gone, whole = (tmp_path / name for name in ("broken.wav", "gone.wav", "whole.wav"))
    await asyncio.to_thread(broken.write_bytes, noise(1))
    await asyncio.to_thread(whole.write_bytes, noise(1))
    session: Any = SimpleNamespace(client=client)
    files = [broken, gone, whole]
    total = uploads._Total(dict.fromkeys(files, 1), lambda done, count: None)
    outcomes = await run_batch(
        files, lambda file: uploads._send(session, "system", file, total), 1, lambda *_: None
    )
    assert [each.result for each in outcomes] == [Result.FAILED, Result.FAILED, Result.STORED]
    assert outcomes[0].problem == "the disk is broken"


async def test_a_cancellation_in_the_moment_of_a_cut_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Source:
        async def place(self, persisted_size: int) -> None:
            assert appending_task is not None

        async def messages(self, persisted_size: int) -> AsyncIterator[AppendUploadRequest]:
            try:
                await asyncio.Event().wait()
                yield AppendUploadRequest()
            finally:
                appending_task.cancel()

        def acknowledge(self, persisted_size: int) -> None:
            raise AssertionError

    streams = 0

    async def open_cut(stream: appending._Stream, channel: Any) -> Any:
        nonlocal streams
        streams += 1
        assert streams == 1, "it goes on after a cancellation"

        async def read() -> None:
            await asyncio.sleep(0)  # the sender has begun
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)

        return SimpleNamespace(read=read, cancel=lambda: None), AppendUploadResponse()

    async def open_channel() -> Any:
        return None

    monkeypatch.setattr(appending._Stream, "_open", open_cut)
    monkeypatch.setattr(back_off, "_FIRST_S", 0.0)
    nothing: Any = None
    header = AppendUploadRequest.Header()
    appending_task = asyncio.ensure_future(
        appending.append_all(nothing, Channels(open_channel), header, Source())
    )
    with pytest.raises(asyncio.CancelledError):
        await appending_task


async def _append(monkeypatch: pytest.MonkeyPatch, ends: list[Any]) -> AppendUploadResponse:
    """Append with streams that end like this, and after them with one that succeeds."""
    following = iter(ends)

    async def run(stream: appending._Stream, *arguments: Any) -> AppendUploadResponse:
        end = next(following, None)
        stream.is_header_lost = end is LOST_HEADER
        if end is not None:
            raise end
        return AppendUploadResponse(persisted_size=7)

    async def open_channel() -> Any:
        return None

    monkeypatch.setattr(appending._Stream, "run", run)
    monkeypatch.setattr(back_off, "_LONGEST_S", 0.0)
    monkeypatch.setattr(back_off, "_FIRST_S", 0.0)
    nothing: Any = None
    header = AppendUploadRequest.Header()
    return await appending.append_all(nothing, Channels(open_channel), header, nothing)
