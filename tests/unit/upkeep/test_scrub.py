"""The scrub reads every blob in its time, and what it finds is stored."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from typing_extensions import override

from kazoo_media.access.accounts import AdminScope, WriteScope
from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import BlobReader
from kazoo_media.errors import ContentDamagedError, StoreUnavailableError
from kazoo_media.media.uploads import Declared
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Media, unix_time_ms
from kazoo_media.upkeep.examination import FindingKind
from kazoo_media.upkeep.fsck import check
from kazoo_media.upkeep.scrub import Scrub, ScrubReport
from tests.contract.upload_promises import wav
from tests.support.core_fixtures import (
    CoreUnderTest,
    make_core,
    replace_content,
    source_of,
    stored_bytes,
)
from tests.support.counted import Counted

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_SCOPE = WriteScope("a" * 32)
_LARGE = wav(1_500_000, seed=1)
_OTHER = wav(1_500_000, seed=2)


class _Blobs(LocalBlobStore):
    """The real store; `opened` are the keys that were opened in the background."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opened: list[str] = []
        self.locked: set[str] = set()

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        if in_background:
            self.opened.append(key)
        if key in self.locked:
            raise StoreUnavailableError
        return await super().open(key, in_background=in_background)


class _Scrubbed:
    """A core on real stores, a scrub of them, and its time."""

    def __init__(self, tested: CoreUnderTest, blobs: _Blobs, folder: Path) -> None:
        self.tested, self.blobs, self._folder = tested, blobs, folder
        self.now_ms = unix_time_ms()
        self.paused_s = 0.0
        self.metrics = Counted()
        self.checked = asyncio.Event()
        self.scrub = Scrub(
            tested.metadata,
            blobs,
            tested.core.settings,
            self.metrics,
            clock=lambda: self.now_ms,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        self.paused_s += seconds
        self.checked.set()

    async def put(self, media_id: str, audio: bytes = _LARGE) -> Path:
        """Add a media and return the file of its audio."""
        core = self.tested.core
        await core.library.create(_SCOPE, {"name": "n"}, media_id)
        return await self.replace(media_id, audio)

    async def replace(self, media_id: str, audio: bytes) -> Path:
        declared = Declared("audio/wav")
        media = await replace_content(
            self.tested.core, _SCOPE, media_id, declared, source_of(audio)
        )
        assert media.content
        key = media.content.original.blob_key
        return self._folder / key[:2] / key

    async def media(self, media_id: str) -> Media:
        return await self.tested.core.library.get(_SCOPE, media_id)

    async def read(self, media_id: str) -> bytes:
        return await stored_bytes(self.tested.core, _SCOPE, media_id, None)

    async def expect_damaged(self, media_id: str) -> None:
        assert (await self.media(media_id)).document["damaged"] is True
        with pytest.raises(ContentDamagedError):
            await self.read(media_id)


@pytest.fixture
async def scrubbed(tmp_path: Path) -> AsyncIterator[_Scrubbed]:
    metadata = await SqliteMetadataStore.open(tmp_path / "m.sqlite", shared=False)
    blobs = _Blobs(tmp_path / "blobs")
    yield _Scrubbed(await make_core(metadata, blobs), blobs, tmp_path / "blobs")
    await blobs.aclose()
    await metadata.aclose()


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")


async def test_every_blob_is_read_once_in_its_time(scrubbed: _Scrubbed) -> None:
    keys = {(await scrubbed.put(str(number), wav(1000))).name for number in range(120)}
    assert await scrubbed.scrub.scrub() == ScrubReport()
    scrubbed.now_ms += 30 * _DAY_MS - _HOUR_MS
    assert await scrubbed.scrub.scrub() == ScrubReport()
    scrubbed.now_ms += 2 * _HOUR_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=120)
    assert sorted(scrubbed.blobs.opened) == sorted(keys)
    assert await scrubbed.scrub.scrub() == ScrubReport()


async def test_the_setting_is_the_time_and_zero_turns_it_off(scrubbed: _Scrubbed) -> None:
    await scrubbed.put("m")
    settings, admin = scrubbed.tested.core.settings, AdminScope()
    scrubbed.now_ms += 2 * _DAY_MS
    assert await scrubbed.scrub.scrub() == ScrubReport()
    await settings.put(admin, "blobs", "scrub_days", 0, node=None)
    scrubbed.now_ms += 9 * _DAY_MS
    assert await scrubbed.scrub.scrub() == ScrubReport()
    await settings.put(admin, "blobs", "scrub_days", 1, node=None)
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=1)


async def test_reads_are_not_faster_than_16_mib_a_second(scrubbed: _Scrubbed) -> None:
    for number in range(8):
        await scrubbed.put(str(number))
    scrubbed.now_ms += 31 * _DAY_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=8)
    # The last 4 MiB may still be waiting for their pause.
    assert scrubbed.paused_s >= (8 * len(_LARGE) - (4 << 20)) / (16 << 20)


@pytest.mark.parametrize("how", ["changed", "cut", "missing"])
async def test_damage_is_refused_and_shown_until_it_is_restored(
    scrubbed: _Scrubbed, how: str
) -> None:
    path = await scrubbed.put("m")
    await scrubbed.put("whole")
    kept = path.read_bytes()
    if how == "changed":
        _damage(path)
    elif how == "cut":
        os.truncate(path, len(kept) - 1)
    else:
        path.unlink()
    scrubbed.now_ms += 31 * _DAY_MS
    with structlog.testing.capture_logs() as logs:
        assert await scrubbed.scrub.scrub() == ScrubReport(checked=2, damaged=1)
    [line] = [each for each in logs if each["event"] == "damaged audio found"]
    assert (line["media_id"], line["rendition"], line["log_level"]) == ("m", "original", "error")
    await scrubbed.expect_damaged("m")
    assert "damaged" not in (await scrubbed.media("whole")).document
    scrubbed.now_ms += 2 * _HOUR_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=1, damaged=1)
    assert scrubbed.metrics.value("damaged_blobs_total") == 1
    path.write_bytes(kept)
    assert await scrubbed.scrub.scrub() == ScrubReport()
    scrubbed.now_ms += 2 * _HOUR_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=1)
    assert "damaged" not in (await scrubbed.media("m")).document
    assert await scrubbed.read("m") == _LARGE


async def test_a_new_upload_ends_the_damage(scrubbed: _Scrubbed) -> None:
    _damage(await scrubbed.put("m"))
    scrubbed.now_ms += 31 * _DAY_MS
    await scrubbed.scrub.scrub()
    await scrubbed.expect_damaged("m")
    await scrubbed.tested.core.library.patch(_SCOPE, "m", {"name": "new", "damaged": False})
    await scrubbed.expect_damaged("m")
    await scrubbed.replace("m", _OTHER)
    assert "damaged" not in (await scrubbed.media("m")).document
    assert await scrubbed.read("m") == _OTHER


async def test_a_disk_that_cannot_read_a_blob_has_damaged_it(
    scrubbed: _Scrubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scrubbed.put("m")
    scrubbed.now_ms += 31 * _DAY_MS

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        assert await scrubbed.scrub.scrub() == ScrubReport(checked=1, damaged=1)
    await scrubbed.expect_damaged("m")


async def test_a_blob_that_cannot_be_opened_is_tried_again(scrubbed: _Scrubbed) -> None:
    key = (await scrubbed.put("m")).name
    scrubbed.blobs.locked.add(key)
    scrubbed.now_ms += 31 * _DAY_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(failed=1)
    assert "damaged" not in (await scrubbed.media("m")).document
    scrubbed.blobs.locked.clear()
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=1)


async def test_audio_of_deleted_media_is_checked_without_a_trace(scrubbed: _Scrubbed) -> None:
    _damage(await scrubbed.put("m"))
    await scrubbed.tested.core.library.delete(_SCOPE, "m", hard=False)
    scrubbed.now_ms += 31 * _DAY_MS
    assert await scrubbed.scrub.scrub() == ScrubReport(checked=1, damaged=1)
    assert await scrubbed.scrub.scrub() == ScrubReport()


async def test_fsck_names_the_media_and_stores_what_it_finds(scrubbed: _Scrubbed) -> None:
    path = await scrubbed.put("m")
    kept = path.read_bytes()
    _damage(path)

    async def found(*, read_digests: bool) -> list[tuple[FindingKind, str]]:
        metadata, blobs = scrubbed.tested.metadata, scrubbed.blobs
        report = await check(metadata, blobs, read_digests=read_digests, progress=lambda _: None)
        return [(each.kind, each.media_id) for each in report.findings]

    assert await found(read_digests=False) == []
    assert await found(read_digests=True) == [(FindingKind.WRONG_DIGEST, "m")]
    await scrubbed.expect_damaged("m")
    # What is known to be damaged is looked at each time.
    assert await found(read_digests=False) == [(FindingKind.WRONG_DIGEST, "m")]
    path.write_bytes(kept)
    assert await found(read_digests=False) == []
    assert await scrubbed.read("m") == _LARGE


async def test_the_scrub_runs_until_it_is_cancelled(scrubbed: _Scrubbed) -> None:
    for number in range(4):
        await scrubbed.put(str(number))
    scrubbed.now_ms += 31 * _DAY_MS
    running = asyncio.ensure_future(scrubbed.scrub.run(3600.0))
    await scrubbed.checked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_damage_of_an_earlier_content_shows_when_that_is_put_back(
    scrubbed: _Scrubbed,
) -> None:
    core = scrubbed.tested.core
    await core.settings.put(AdminScope(), "media", "kept_versions", 2, node=None)
    file = await scrubbed.put("m")
    await scrubbed.replace("m", _OTHER)
    _damage(file)
    scrubbed.now_ms += 31 * _DAY_MS
    assert (await scrubbed.scrub.scrub()).damaged == 1
    assert await scrubbed.read("m") == _OTHER
    [version] = await core.versions.list(_SCOPE, "m")
    await core.versions.put_back(_SCOPE, "m", version.number)
    await scrubbed.expect_damaged("m")
