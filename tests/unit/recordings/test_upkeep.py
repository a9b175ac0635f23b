"""What becomes of uploads that nobody ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.errors import (
    ContentMismatchError,
    NotAudioError,
    StoreUnavailableError,
    UploadNotFoundError,
)
from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.model import unix_time_ms
from kazoo_media.recordings import states
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.recordings import Recordings
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.upkeep import RecordingUpkeep, UpkeepReport
from tests.contract.recording_driver import SPEC, WAV_SPEC
from tests.contract.upload_promises import PNG
from tests.support.core_fixtures import CoreUnderTest, make_core

_SCOPE = WriteScope("a" * 32)
_MINUTE_MS = 60_000
_WEEK_MS = 7 * 24 * 60 * _MINUTE_MS


@dataclass
class _Rig:
    """Recordings, and an upkeep whose clock is ahead."""

    tested: CoreUnderTest

    @property
    def recordings(self) -> Recordings:
        return self.tested.core.recordings

    async def tidy_after(self, ahead_ms: int) -> UpkeepReport:
        upkeep = RecordingUpkeep(
            self.tested.metadata,
            self.recordings,
            self.tested.core.settings,
            lambda: unix_time_ms() + ahead_ms,
        )
        assert await upkeep.tidy() in (UpkeepReport(), UpkeepReport(forgotten=1))
        return await upkeep.tidy()

    async def row(self, upload_id: str = "call") -> UploadRow:
        return (await self.recordings.get(_SCOPE, upload_id)).row


@pytest.fixture
async def rig() -> AsyncIterator[_Rig]:
    tested = await make_core()
    async with tested.core.recordings.running():
        yield _Rig(tested)


async def test_an_upload_whose_recorder_stays_away_becomes_an_incomplete_recording(
    rig: _Rig,
) -> None:
    stream = await rig.recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, bytes(800))
    await stream.flush()
    stream.close()
    assert await rig.tidy_after(59 * _MINUTE_MS) == UpkeepReport()
    assert await rig.tidy_after(61 * _MINUTE_MS) == UpkeepReport(committed=1)
    row = await rig.row()
    assert row.state is UploadState.FINISHED
    document = (await rig.tested.core.library.get(_SCOPE, row.media_id)).document
    assert (document["incomplete"], document["end_reason"]) == (True, "interrupted")


async def test_the_idle_time_is_a_setting(rig: _Rig) -> None:
    await rig.recordings.open(_SCOPE, "call", SPEC)
    scope = rig.tested.core.accounts.admin_scope(rig.tested.admin)
    await rig.tested.core.settings.put(scope, "recordings", "idle_minutes", 5, node=None)
    assert await rig.tidy_after(6 * _MINUTE_MS) == UpkeepReport(committed=1)


async def test_an_upload_that_was_touched_meanwhile_is_not_ended(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.recordings.open(_SCOPE, "call", SPEC)
    read = replace(await rig.row(), touched_ms=1)

    async def list_stale(_until_ms: int, after: tuple[str, str], _limit: int) -> list[UploadRow]:
        return [read] if after == ("", "") else []

    monkeypatch.setattr(rig.tested.metadata, "list_idle_uploads", list_stale)
    assert await rig.tidy_after(0) == UpkeepReport()
    assert (await rig.row()).state is UploadState.RECEIVING


async def test_a_commit_of_a_process_that_died_is_made_again(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await rig.recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, bytes(800))

    async def failing(*_: object) -> None:
        raise StoreUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(rig.tested.metadata, "commit_upload", failing)
        with pytest.raises(StoreUnavailableError):
            await rig.recordings.finish(stream, Ending(size_bytes=800, reason="hangup"))
    assert (await rig.row()).state is UploadState.COMMITTING
    assert await rig.tidy_after(9 * _MINUTE_MS) == UpkeepReport()
    assert await rig.tidy_after(11 * _MINUTE_MS) == UpkeepReport(committed=1)
    media = await rig.tested.core.library.get(_SCOPE, (await rig.row()).media_id)
    assert media.document["end_reason"] == "hangup"
    assert "incomplete" not in media.document


async def test_what_cannot_become_a_media_is_kept_for_a_week(rig: _Rig) -> None:
    stream = await rig.recordings.open(_SCOPE, "picture", WAV_SPEC)
    await stream.append(0, PNG)
    with pytest.raises(NotAudioError):
        await rig.recordings.finish(stream, Ending(size_bytes=len(PNG)))
    assert "not audio" in (await rig.row("picture")).error
    assert await rig.tidy_after(_WEEK_MS - _MINUTE_MS) == UpkeepReport(failed=1)
    assert (await rig.row("picture")).state is UploadState.INTERRUPTED
    assert await rig.tidy_after(_WEEK_MS + _MINUTE_MS) == UpkeepReport(expired=1, forgotten=1)
    with pytest.raises(UploadNotFoundError):
        await rig.row("picture")


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_refused_finish_costs_no_audio(rig: _Rig, *, goes_on: bool) -> None:
    stream = await rig.recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, bytes(800))
    with pytest.raises(ContentMismatchError):
        await rig.recordings.finish(stream, Ending(size_bytes=800, sha256="0" * 64))
    if goes_on:
        stream = await rig.recordings.open(_SCOPE, "call", SPEC)
        assert stream.row.error == ""
        await stream.append(800, bytes(800))
        await stream.flush()
        stream.close()
    assert await rig.tidy_after(61 * _MINUTE_MS) == UpkeepReport(committed=1)
    media = await rig.tested.core.library.get(_SCOPE, (await rig.row()).media_id)
    assert media.document["incomplete"] is True
    assert media.document["duration_ms"] == (200 if goes_on else 100)


async def test_an_older_commit_does_not_refuse_a_newer_finish(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await rig.recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, bytes(800))
    with pytest.raises(ContentMismatchError):
        await rig.recordings.finish(stream, Ending(size_bytes=800, sha256="0" * 64))
    old = stream.row
    stream = await rig.recordings.open(_SCOPE, "call", SPEC)
    ending = Ending(size_bytes=800)

    async def late(*_: object) -> None:  # another process refuses the first finish only now
        change = partial(states.refused, epoch=old.epoch, error="late", now_ms=unix_time_ms())
        await rig.tested.metadata.change_upload(_SCOPE.account_id, "call", change)
        await committed(*_)  # type: ignore[arg-type]

    committed = rig.tested.metadata.commit_upload
    monkeypatch.setattr(rig.tested.metadata, "commit_upload", late)
    outcome = await rig.recordings.finish(stream, ending)
    assert outcome.row.state is UploadState.FINISHED


async def test_a_fault_of_one_recording_does_not_stop_the_others(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise StoreUnavailableError

    monkeypatch.setattr(rig.recordings, "archive", failing)
    monkeypatch.setattr(Archive, "soon", lambda *_: None)
    done = await rig.recordings.open(_SCOPE, "a", SPEC)
    await done.append(0, bytes(800))
    await rig.recordings.finish(done, Ending(size_bytes=800))
    idle = await rig.recordings.open(_SCOPE, "b", SPEC)
    await idle.append(0, bytes(800))
    await idle.flush()
    idle.close()
    assert await rig.tidy_after(61 * _MINUTE_MS) == UpkeepReport(committed=1, failed=1)


async def test_a_clock_that_jumps_ends_no_recording_that_runs(rig: _Rig) -> None:
    await rig.recordings.open(_SCOPE, "call", SPEC)
    ahead_ms = 0
    upkeep = RecordingUpkeep(
        rig.tested.metadata,
        rig.recordings,
        rig.tested.core.settings,
        lambda: unix_time_ms() + ahead_ms,
    )
    assert await upkeep.tidy() == UpkeepReport()
    ahead_ms = 10 * 60 * _MINUTE_MS
    assert await upkeep.tidy() == UpkeepReport()

    def touched(row: UploadRow) -> UploadRow:  # as its stream does within seconds
        return replace(row, touched_ms=unix_time_ms() + ahead_ms)

    await rig.tested.metadata.change_upload(_SCOPE.account_id, "call", touched)
    assert await upkeep.tidy() == UpkeepReport()
    assert (await rig.row()).state is UploadState.RECEIVING
