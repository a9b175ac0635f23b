"""What is left of recordings after kill -9, and after a store has failed at every step."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.errors import MediaError, StoreUnavailableError, TakenOverError
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.model import BlobState, RenditionKind
from kazoo_media.recordings.spec import Ending
from kazoo_media.upkeep.fsck import check
from kazoo_media.upkeep.sweeper import Sweeper
from tests.contract.programs.record_forever import SCOPE, SPEC, content
from tests.contract.recording_promises import samples_of
from tests.support.core_fixtures import CoreUnderTest, core_on_disk, make_core, stored_bytes

KILLS = 3


def _record_until_killed(folder: Path) -> list[list[str]]:
    """Return the acknowledgements, one list of words each."""
    command = [sys.executable, "-m", "tests.contract.programs.record_forever", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(random.uniform(0.05, 0.6))
        process.kill()
        lines = (first + process.stdout.read()).decode().splitlines()
    assert lines, "the program was killed before its first acknowledgement"
    return [line.split() for line in lines if line.count(" ") == 2]


async def _rows(tested: CoreUnderTest) -> list[UploadRow]:
    return await tested.metadata.list_uploads(SCOPE.account_id, "", 10**6)


async def _clean(tested: CoreUnderTest) -> None:
    """Check that files and rows agree after the sweeper has run."""
    clock = itertools.count(10**13).__next__
    sweeper = Sweeper(
        tested.metadata, tested.blobs, pending_grace_ms=0, dead_grace_ms=0, clock=clock
    )
    await sweeper.sweep()
    await sweeper.sweep()  # what expired in the first is due in the second
    rows = await tested.metadata.list_blobs("", 10**6)
    assert {each.state for each in rows} == {BlobState.LIVE}
    report = await check(tested.metadata, tested.blobs, read_digests=True, progress=lambda _: None)
    assert report.findings == ()


async def test_kill_9_loses_no_acknowledged_byte(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    media_ids: dict[str, str] = {}
    for _ in range(KILLS):
        for upload_id, size, media_id in await asyncio.to_thread(_record_until_killed, tmp_path):
            acknowledged[upload_id] = max(int(size), acknowledged.get(upload_id, 0))
            if media_id != "-":
                media_ids[upload_id] = media_id
    async with core_on_disk(tmp_path) as tested, tested.core.recordings.running():
        recordings = tested.core.recordings
        rows = {each.id: each for each in await _rows(tested)}
        assert rows.keys() >= acknowledged.keys()
        states = {each.state for each in rows.values()}
        assert UploadState.RECEIVING in states, "no recording was killed"
        for upload_id, row in rows.items():
            assert row.persisted_size >= acknowledged.get(upload_id, 0)
            outcome = await recordings.finish_abandoned(SCOPE, upload_id, "killed", keep=True)
            if outcome.media is None:
                assert row.persisted_size == 0
                continue
            assert media_ids.get(upload_id, outcome.media.id) == outcome.media.id
            stored = await stored_bytes(
                tested.core, SCOPE, outcome.media.id, RenditionKind.ORIGINAL
            )
            assert samples_of(stored) == content(upload_id, row.persisted_size)
        await _clean(tested)
        remaining = {each.state for each in await _rows(tested)}
        assert remaining <= {UploadState.FINISHED, UploadState.DISCARDED}


STEPS = (
    "open_upload",
    "append_tails",
    "add_piece",
    "begin_upload",
    "change_upload",
    "commit_upload",
    "read_upload",
    "publish",
)
"""The calls of the stores of which a recording consists."""


async def _recorded(tested: CoreUnderTest, data: bytes) -> str:
    """Record as a recorder does that goes on after every error; return the id of the media."""
    recordings = tested.core.recordings
    for _ in range(9):
        try:
            stream = await recordings.open(SCOPE, "call", SPEC)
            try:
                while not stream.has_ended and stream.received_size < len(data):
                    at = stream.received_size
                    await stream.append(at, data[at : at + 100_000])
                    await stream.flush()
                ending = Ending(size_bytes=len(data))
                outcome = await recordings.finish(stream, ending)
            finally:
                stream.close()
        except MediaError:
            continue
        assert outcome.media is not None
        return outcome.media.id
    raise AssertionError("the recording is stuck")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_store_that_fails_at_any_step_once_loses_nothing(
    step: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes before the step, or after it is done: its outcome is not known."""
    tested = await make_core()
    owner: Any = tested.blobs if step == "publish" else tested.metadata
    whole: Callable[..., Any] = getattr(owner, step)
    calls = 0
    failing_call = 1 if step in ("open_upload", "change_upload", "commit_upload") else 2

    async def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != failing_call:
            return await whole(*args)
        if moment == "after":
            await whole(*args)
        raise StoreUnavailableError

    monkeypatch.setattr(owner, step, failing)
    data = content("call", 900_000)
    async with tested.core.recordings.running():
        media_id = await _recorded(tested, data)
        assert calls >= failing_call
    stored = await stored_bytes(tested.core, SCOPE, media_id, RenditionKind.ORIGINAL)
    assert samples_of(stored) == data
    await _clean(tested)


async def test_two_workers_that_share_a_database_take_over_from_each_other(
    tmp_path: Path,
) -> None:
    data = content("call", 300_000)
    stores = [
        await SqliteMetadataStore.open(tmp_path / "metadata.sqlite", shared=True) for _ in range(2)
    ]
    blobs = LocalBlobStore(tmp_path / "blobs")
    first, second = await make_core(stores[0], blobs), await make_core(stores[1], blobs)
    async with first.core.recordings.running(), second.core.recordings.running():
        old = await first.core.recordings.open(SCOPE, "call", SPEC)
        await old.append(0, data[:200_000])
        await old.flush()
        await old.append(200_000, b"never acknowledged")
        new = await second.core.recordings.open(SCOPE, "call", SPEC)
        assert new.received_size == 200_000
        with pytest.raises(TakenOverError):
            await old.flush()
        await new.append(200_000, data[200_000:])
        outcome = await second.core.recordings.finish(new, Ending(size_bytes=len(data)))
    assert outcome.media is not None
    stored = await stored_bytes(first.core, SCOPE, outcome.media.id, RenditionKind.ORIGINAL)
    assert samples_of(stored) == data
    for store in stores:
        await store.aclose()
    await blobs.aclose()
