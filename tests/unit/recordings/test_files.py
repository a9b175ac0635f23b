"""Recordings that are sent as whole files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.content.damage import Damage
from kazoo_media.errors import NotAudioError
from kazoo_media.media.library import Change
from kazoo_media.media.uploads import Declared
from kazoo_media.metadata.uploads import UploadState
from kazoo_media.model import BlobState, MediaQuery
from kazoo_media.recordings.recordings import Recordings
from tests.support.audio_samples import tone
from tests.support.core_fixtures import CoreUnderTest, make_core, source_of

_SCOPE = WriteScope("a" * 32)


async def _put(tested: CoreUnderTest, audio: bytes, **document: object) -> Change:
    document = {"name": "a.wav", **document}
    declared = Declared("audio/x-wav")
    files = tested.core.recording_files
    return await files.put(_SCOPE, "a.wav", document, declared, source_of(audio))


async def _states(recordings: Recordings) -> list[UploadState]:
    found, _ = await recordings.list_page(_SCOPE, "", 100)
    return [each.row.state for each in found]


async def _live(tested: CoreUnderTest) -> int:
    rows = await tested.metadata.list_blobs("", 100)
    return sum(each.state is not BlobState.DEAD for each in rows)


async def test_five_tries_at_once_leave_one_recording() -> None:
    tested = await make_core()
    changes = await asyncio.gather(*(_put(tested, tone(0.1), call_id="c") for _ in range(5)))
    assert len({(each.after.id, each.after.revision) for each in changes}) == 1
    assert sum(each.before is None for each in changes) == 1
    page, _ = await tested.core.stored_recordings.list_page(_SCOPE, MediaQuery(9), None)
    assert [each.document["call_id"] for each in page] == ["c"]
    assert await _live(tested) == 1


async def test_other_bytes_replace_audio_and_document() -> None:
    tested = await make_core()
    first = await _put(tested, tone(0.1), call_id="first", extra=1)
    second = await _put(tested, tone(0.2), call_id="second")
    assert second.after.id == first.after.id
    assert second.after.document["call_id"] == "second"
    assert "extra" not in second.after.document
    assert second.after.document["duration_ms"] == 200


async def test_the_same_bytes_repair_a_damaged_recording() -> None:
    tested = await make_core()
    damaged = await tested.core.library.get(_SCOPE, (await _put(tested, tone(0.1))).after.id)
    assert damaged.content is not None
    key = damaged.content.original.blob_key
    await Damage(tested.metadata).note(damaged, key, is_damaged=True)
    repaired = (await _put(tested, tone(0.1))).after
    assert repaired.id == damaged.id
    assert "damaged" not in repaired.document
    found = await tested.core.library.get(_SCOPE, damaged.id)
    assert found.content is not None
    assert not found.content.is_damaged
    assert found.content.original.blob_key != key
    assert (await _put(tested, tone(0.1))).after.revision == repaired.revision


async def test_a_broken_file_changes_nothing() -> None:
    tested = await make_core()
    kept = await _put(tested, tone(0.1))

    async def breaks() -> AsyncIterator[bytes]:
        yield tone(0.2)[:1000]
        raise asyncio.CancelledError

    files, declared = tested.core.recording_files, Declared("audio/x-wav")
    with pytest.raises(asyncio.CancelledError):
        await files.put(_SCOPE, "a.wav", {"name": "a"}, declared, breaks())
    with pytest.raises(NotAudioError):
        await _put(tested, b"<html><body>no audio</body></html>")
    assert await files.get(_SCOPE, "a.wav") == await tested.core.library.get(_SCOPE, kept.after.id)
    assert (await files.get(_SCOPE, "a.wav")).revision == kept.after.revision
    assert await _live(tested) == 1
    finished, *discarded = sorted(await _states(tested.core.recordings), reverse=True)
    assert finished is UploadState.FINISHED
    assert set(discarded) == {UploadState.DISCARDED}


async def test_the_name_of_a_deleted_recording_is_free() -> None:
    tested = await make_core()
    first = await _put(tested, tone(0.1))
    await tested.core.library.delete(_SCOPE, first.after.id, hard=False)
    second = await _put(tested, tone(0.1))
    assert second.before is None
    assert second.after.id != first.after.id
