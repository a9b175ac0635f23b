"""What follows the finish of a recording in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.pool.pool import ConverterPool
from kazoo_media.errors import NoPeaksError, StoreUnavailableError
from kazoo_media.media.uploads import Declared
from kazoo_media.metadata.uploads import UploadRow
from kazoo_media.model import BlobState, Media, unix_time_ms
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.upkeep import RecordingUpkeep, UpkeepReport
from tests.contract.recording_driver import SPEC, audio
from tests.contract.recording_promises import samples_of
from tests.support.audio_samples import cancelling_tone, tone
from tests.support.core_fixtures import CoreUnderTest, make_core, source_of

_SCOPE = WriteScope("a" * 32)
_AN_HOUR_MS = 3_600_000


@pytest.fixture
async def tested(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    pool = ConverterPool(tmp_path)
    tested = await make_core(pool=pool)
    async with tested.core.recordings.running():
        yield tested
    await pool.aclose()


@pytest.fixture
def nothing_in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave all conversions to the upkeep."""
    monkeypatch.setattr(Archive, "soon", lambda *_: None)


async def _put(tested: CoreUnderTest, category: str, key: str, *, value: Any) -> None:
    scope = tested.core.accounts.admin_scope(tested.admin)
    await tested.core.settings.put(scope, category, key, value, node=None)


async def _keep_conversions_only(tested: CoreUnderTest) -> None:
    await _put(tested, "recordings", "archive_preset", value="telephony")
    await _put(tested, "recordings", "keep_original", value=False)


async def _record(tested: CoreUnderTest) -> UploadRow:
    """Return the row of a finished recording of two seconds."""
    recordings = tested.core.recordings
    stream = await recordings.open(_SCOPE, "call", SPEC)
    await stream.append(0, audio(16_000))
    outcome = await recordings.finish(stream, Ending(size_bytes=16_000))
    assert outcome.media is not None
    assert outcome.media.content is not None
    assert outcome.media.content.normalized is None  # the recorder does not wait for it
    return outcome.row


async def _media(tested: CoreUnderTest, row: UploadRow) -> Media:
    return await tested.core.library.get(_SCOPE, row.media_id)


async def _live_blobs(tested: CoreUnderTest) -> set[str]:
    rows = await tested.metadata.list_blobs("", 1000)
    return {each.key for each in rows if each.state is BlobState.LIVE}


async def _tidied(tested: CoreUnderTest) -> UpkeepReport:
    core = tested.core
    upkeep = RecordingUpkeep(
        tested.metadata, core.recordings, core.settings, lambda: unix_time_ms() + _AN_HOUR_MS
    )
    assert await upkeep.tidy() == UpkeepReport()  # nothing is due at the first look
    return await upkeep.tidy()


async def test_a_finished_recording_is_normalized_in_the_background(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()
    whole = Archive.archive

    async def archive(self: Archive, row: UploadRow) -> None:
        await whole(self, row)
        done.set()

    monkeypatch.setattr(Archive, "archive", archive)
    await _put(tested, "crossbar.media", "normalize_media", value=True)
    row = await _record(tested)
    await done.wait()
    media = await _media(tested, row)
    assert media.content is not None
    assert media.content.normalized is not None
    assert media.document["content_type"] == "audio/mpeg"
    assert await _tidied(tested) == UpkeepReport()  # it is noted


@pytest.mark.usefixtures("nothing_in_background")
async def test_a_conversion_that_a_process_left_is_made_by_the_upkeep_once(
    tested: CoreUnderTest,
) -> None:
    await _put(tested, "recordings", "archive_preset", value="telephony")
    row = await _record(tested)
    assert await _tidied(tested) == UpkeepReport(archived=1)
    assert await _tidied(tested) == UpkeepReport()
    media = await _media(tested, row)
    assert media.document["normalization_preset"] == "telephony"
    assert media.content is not None
    assert {each.blob_key for each in media.content.renditions} == await _live_blobs(tested)
    assert len(media.content.renditions) == 2


@pytest.mark.usefixtures("nothing_in_background")
async def test_without_normalization_there_is_nothing_to_convert(tested: CoreUnderTest) -> None:
    row = await _record(tested)
    before = await _media(tested, row)
    assert await _tidied(tested) == UpkeepReport(archived=1)
    assert await _media(tested, row) == before


@pytest.mark.usefixtures("nothing_in_background")
async def test_the_original_is_removed_after_its_conversion_was_decoded(
    tested: CoreUnderTest,
) -> None:
    await _keep_conversions_only(tested)
    row = await _record(tested)
    await _tidied(tested)
    media = await _media(tested, row)
    assert media.content is not None
    assert media.content.normalized is None
    assert media.content.original.content_type == "audio/mpeg"
    assert media.document["content_type"] == "audio/mpeg"
    assert {media.content.original.blob_key} == await _live_blobs(tested)


@pytest.mark.parametrize("fault", ["cut", "unreadable", "store"])
@pytest.mark.usefixtures("nothing_in_background")
async def test_the_original_stays_unless_the_conversion_is_proven(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    await _keep_conversions_only(tested)
    row = await _record(tested)

    async def decoded_ms(*_: object) -> int:
        if fault == "cut":
            return 1400
        raise NoPeaksError("noise") if fault == "unreadable" else StoreUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(tested.core.measuring, "decoded_ms", decoded_ms)
        if fault == "store":
            assert await _tidied(tested) == UpkeepReport(failed=1)
        else:
            assert await _tidied(tested) == UpkeepReport(archived=1)
    media = await _media(tested, row)
    assert media.content is not None
    assert media.content.original.content_type == "audio/x-wav"
    assert len(await _live_blobs(tested)) == 2
    # A store that failed is asked again, a conversion that is not whole is not made again.
    assert (await _tidied(tested)).archived == (1 if fault == "store" else 0)


@pytest.mark.usefixtures("nothing_in_background")
async def test_a_file_is_converted_like_any_recording(tested: CoreUnderTest) -> None:
    await _put(tested, "recordings", "archive_preset", value="telephony")
    files, declared = tested.core.recording_files, Declared("audio/x-wav")
    change = await files.put(_SCOPE, "a.wav", {"name": "a"}, declared, source_of(tone(0.5)))
    assert await _tidied(tested) == UpkeepReport(archived=1)
    media = await tested.core.library.get(_SCOPE, change.after.id)
    assert media.content is not None
    assert media.content.normalized is not None
    assert await _tidied(tested) == UpkeepReport()


@pytest.mark.usefixtures("nothing_in_background")
async def test_the_original_stays_if_its_channels_were_mixed_to_silence(
    tested: CoreUnderTest,
) -> None:
    await _keep_conversions_only(tested)
    await _put(tested, "media", "normalize_backend", value="sox")
    recordings = tested.core.recordings
    raw = RawAudio(RawEncoding.LINEAR16, 8000, 2)
    stream = await recordings.open(_SCOPE, "call", replace(SPEC, raw=raw))
    samples = samples_of(cancelling_tone(2.0))
    await stream.append(0, samples)
    outcome = await recordings.finish(stream, Ending(size_bytes=len(samples)))
    assert await _tidied(tested) == UpkeepReport(archived=1)
    media = await _media(tested, outcome.row)
    assert media.content is not None
    assert media.content.original.content_type == "audio/x-wav"
