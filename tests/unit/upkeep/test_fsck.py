"""fsck names every difference between rows and files."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import new_blob_key
from kazoo_media.model import Content, Rendition, RenditionKind
from kazoo_media.upkeep.examination import Finding, FindingKind
from kazoo_media.upkeep.fsck import FsckReport, check
from tests.contract.blob_store import MIB, names, noise, stored
from tests.contract.media_samples import ACCOUNT, make_media, saved_with
from tests.support.memory_metadata import MemoryMetadataStore

DATA = b"0123456789"
DIGEST = hashlib.sha256(DATA).hexdigest()


class Checked:
    """Two stores and a folder to damage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = MemoryMetadataStore()
        self.blobs = LocalBlobStore(folder)

    async def put_live(self, media_id: str) -> str:
        media = make_media(media_id)
        await self.metadata.insert_media(media)
        key = await stored(self.blobs, DATA)
        await self.metadata.begin_upload(ACCOUNT, [key], 1)
        original = Rendition(RenditionKind.ORIGINAL, key, "audio/wav", len(DATA), DIGEST)
        saved = saved_with(media, Content(original))
        await self.metadata.commit_content(saved, media.revision, 2)
        return key

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def age(self, key: str, days: int) -> None:
        then = time.time() - days * 86_400
        os.utime(self.path(key), (then, then))

    async def check(
        self, *, read_digests: bool = False, remove_orphans: bool = False
    ) -> FsckReport:
        return await check(
            self.metadata,
            self.blobs,
            read_digests=read_digests,
            progress=lambda _: None,
            remove_orphans=remove_orphans,
        )


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    return Checked(tmp_path / "blobs")


async def test_sound_stores_have_no_findings(checked: Checked) -> None:
    for number in range(3):
        await checked.put_live(str(number))
    seen: list[int] = []
    report = await check(checked.metadata, checked.blobs, read_digests=True, progress=seen.append)
    assert report == FsckReport(3, 3, 3, 0, ())
    assert seen == [1, 2, 3]


async def test_a_running_and_a_dead_upload_are_no_findings(checked: Checked) -> None:
    pending, dead = new_blob_key(), await stored(checked.blobs, DATA)
    await checked.metadata.begin_upload(ACCOUNT, [pending, dead], 1)
    await checked.metadata.abandon_blobs(ACCOUNT, [dead], 2)
    writer = await checked.blobs.create(pending)
    await writer.write([noise(MIB)])
    report = await checked.check(read_digests=True, remove_orphans=True)
    assert report == FsckReport(2, 0, 2, 0, ())
    await writer.discard()


async def test_every_damage_is_found(checked: Checked) -> None:
    await checked.put_live("sound")
    missing = await checked.put_live("missing")
    checked.path(missing).unlink()
    short = await checked.put_live("short")
    checked.path(short).write_bytes(DATA[:4])
    changed = await checked.put_live("changed")
    checked.path(changed).write_bytes(DATA[::-1])
    orphan = await stored(checked.blobs, b"abc")
    leftover = new_blob_key()
    writer = await checked.blobs.create(leftover)
    await writer.write([noise(MIB)])
    expected = {
        Finding(FindingKind.MISSING, missing, ACCOUNT, "10 bytes", "", "missing"),
        Finding(FindingKind.WRONG_SIZE, short, ACCOUNT, "10 bytes", "4 bytes", "short"),
        Finding(FindingKind.ORPHAN, orphan, actual="3 bytes"),
        Finding(FindingKind.LEFTOVER, leftover, actual=f"{MIB} bytes"),
    }
    before = await names(checked.blobs)
    report = await checked.check()
    assert set(report.findings) == expected
    assert replace(report, findings=()) == FsckReport(4, 4, 5, 0, ())
    report = await checked.check(read_digests=True)
    other = hashlib.sha256(DATA[::-1]).hexdigest()
    wrong = Finding(FindingKind.WRONG_DIGEST, changed, ACCOUNT, DIGEST, other, "changed")
    assert set(report.findings) == {*expected, wrong}
    assert await names(checked.blobs) == before
    await writer.discard()


async def test_a_blob_that_can_not_be_read_is_a_finding(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await checked.put_live("broken")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "pread", fail)
    report = await checked.check(read_digests=True)
    assert report.findings == (
        Finding(FindingKind.UNREADABLE, broken, ACCOUNT, DIGEST, "", "broken"),
    )


async def test_only_files_without_a_row_are_removed(checked: Checked) -> None:
    live = await checked.put_live("live")
    checked.path(live).with_name(f"{live}.part").write_bytes(b"left")
    orphan = await stored(checked.blobs, b"abc")
    checked.age(orphan, days=31)
    report = await checked.check(remove_orphans=True)
    assert report.removed_count == 1
    assert {each.kind for each in report.findings} == {FindingKind.ORPHAN, FindingKind.LEFTOVER}
    assert await names(checked.blobs) == {(live, True), (live, False)}


async def test_a_restored_database_costs_no_bytes_for_thirty_days(checked: Checked) -> None:
    old, newer = await stored(checked.blobs, b"abc"), await stored(checked.blobs, b"def")
    checked.age(old, days=31)
    checked.age(newer, days=29)
    report = await checked.check(remove_orphans=True)
    assert {each.key for each in report.findings} == {old, newer}
    assert report.removed_count == 1
    assert await names(checked.blobs) == {(newer, True)}
