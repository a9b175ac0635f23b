"""A recorder whose disk or service fails, against a real service in the same loop."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.client import Client, RecordingRefusedError, journal
from kazoo_media.client.spool import Spool
from tests.rpc.service import Service
from tests.unit.client.calls import SPEC, audio, content, files


async def test_a_failing_disk_costs_nothing_while_the_service_is_there(
    client: Client, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    has_failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def full(spool: Spool, offset: int, data: bytes) -> None:
        tries.append(offset)
        if len(tries) > 1:  # the recorder knows of the first
            loop.call_soon_threadsafe(has_failed.set)
        raise OSError("the disk is full")

    sent = audio(600_000)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(sent[:200_000])
        await recorder.flush()
        with monkeypatch.context() as patched:
            patched.setattr(Spool, "append", full)
            recorder.write(sent[200_000:400_000])
            await recorder.flush()
        recorder.write(sent[400_000:])
        assert await content(client, await recorder.finish()) == sent
    monkeypatch.setattr(Spool, "append", full)
    tries.clear()
    has_failed.clear()
    async with Client(f"{address}-away", api_key="key") as other:
        recorder = await other.recorder("system", "call", SPEC, tmp_path).__aenter__()
        recorder.write(bytes(15 << 20))
        await has_failed.wait()
        with pytest.raises(OSError, match="the disk is full"):
            recorder.write(bytes(2 << 20))
        with pytest.raises(OSError, match="the disk is full"):  # or 15 MiB were lost silently
            await recorder.__aexit__(None, None, None)
        recorder = await other.recorder("system", "call", SPEC, tmp_path).__aenter__()
        recorder.write(b"lost")
        mistake = KeyError()
        await recorder.__aexit__(KeyError, mistake, None)  # the caller's own error goes on up


async def test_a_call_that_begins_on_a_full_disk_is_recorded(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal, "_make_folder", full)
    sent = audio(600_000)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(sent)
        assert await content(client, await recorder.finish()) == sent
    assert "only memory is left" in caplog.text


async def test_a_spool_that_cannot_be_removed_is_no_failed_recording(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(spool: Spool) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(Spool, "delete", broken)
    async with client.recorder("system", "call", SPEC, tmp_path) as recorder:
        recorder.write(audio(8000))
        assert await recorder.finish() is not None
    assert "is complete and cannot be removed" in caplog.text


async def test_a_spool_that_cannot_be_read_is_reported(
    address: str, service: Service, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    async with (
        Client(f"unix:{away}", api_key=service.admin_key) as client,
        client.recorder("system", "call", SPEC, tmp_path / "spool") as recorder,
    ):
        for _ in range(3):
            recorder.write(audio(1 << 20))
            await recorder.drain()
        min(path for path in files(tmp_path / "spool") if path.name != "journal").unlink()
        os.symlink(address.removeprefix("unix:"), away)
        with pytest.raises(FileNotFoundError):
            await recorder.finish()
        assert isinstance(recorder.error, FileNotFoundError)


async def test_nobody_waits_for_a_disk_after_a_refusal(
    address: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Spool, "append", full)
    async with Client(address, api_key="wrong") as other:
        refused = await other.recorder("system", "call", SPEC, tmp_path).__aenter__()
        refused.write(bytes(1 << 20))
        with pytest.raises(RecordingRefusedError):
            await refused.drain()
        with pytest.raises(OSError, match="the disk is full"):
            await refused.__aexit__(None, None, None)
