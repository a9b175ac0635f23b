"""Clients that leave at the worst moment, on real stores: nothing is torn, nothing is left over."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.errors import IncompleteUploadError
from kazoo_media.media.uploads import Declared
from kazoo_media.model import BlobState
from kazoo_media.upkeep.fsck import check
from tests.contract.upload_promises import wav
from tests.support.core_fixtures import CoreUnderTest, core_on_disk, replace_content

_SCOPE = WriteScope("a" * 32)


@pytest.fixture
async def tested(tmp_path: Path) -> AsyncIterator[CoreUnderTest]:
    async with core_on_disk(tmp_path) as tested:
        yield tested


async def test_an_upload_cancelled_while_it_commits_happened_or_did_not(
    tested: CoreUnderTest,
) -> None:
    media = await tested.core.library.create(_SCOPE, {"name": "cancelled"})
    ends = {"committed": 0, "discarded": 0}
    for number in range(40):
        before = media.content
        await _cancelled_upload(tested, media.id, wav(2000, seed=number), number * 0.0002)
        media = await tested.core.library.get(_SCOPE, media.id)
        ends["discarded" if media.content == before else "committed"] += 1
        await _expect_whole(tested)
    assert all(ends.values()), f"the cancellation never came in between: {ends}"


async def test_a_broken_upload_whose_clean_up_is_cancelled_leaves_nothing(
    tested: CoreUnderTest,
) -> None:
    media = await tested.core.library.create(_SCOPE, {"name": "cancelled"})
    for ticks in range(20):
        async with asyncio.TaskGroup() as tasks:
            upload = tasks.create_task(_broken_upload(tested, media.id))
            await asyncio.sleep(ticks * 0.0004)
            upload.cancel()
        await _expect_whole(tested)
    assert [blob async for blob in tested.blobs.list()] == []


async def test_a_file_stays_open_while_a_thread_writes_into_it(
    tested: CoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    descriptors: list[bool] = []

    def slow(fd: int, buffers: Sequence[bytes]) -> int:
        writing.set()
        go_on.wait(10)
        descriptors.append(_is_open(fd))
        return sum(map(len, buffers))

    async def source() -> AsyncIterator[bytes]:
        for number in range(4):
            yield wav(1 << 20, seed=number)
        await asyncio.Event().wait()

    media = await tested.core.library.create(_SCOPE, {"name": "cancelled"})
    monkeypatch.setattr(os, "writev", slow)
    upload = asyncio.ensure_future(_upload(tested, media.id, source()))
    await asyncio.to_thread(writing.wait, 10)
    upload.cancel()
    await asyncio.wait([upload], timeout=0.2)  # it is not to end yet
    go_on.set()
    await asyncio.wait([upload])
    assert descriptors == [True]
    await _expect_whole(tested)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def _cancelled_upload(
    tested: CoreUnderTest, media_id: str, audio: bytes, delay_s: float
) -> None:
    ended = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield audio
        ended.set()

    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(_upload(tested, media_id, source()))
        await ended.wait()
        await asyncio.sleep(delay_s)
        upload.cancel()


async def _broken_upload(tested: CoreUnderTest, media_id: str) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield wav(2000)
        raise IncompleteUploadError("the client has gone")

    with suppress(IncompleteUploadError):
        await _upload(tested, media_id, source())


async def _upload(tested: CoreUnderTest, media_id: str, source: AsyncIterator[bytes]) -> None:
    await replace_content(tested.core, _SCOPE, media_id, Declared(), source)


async def _expect_whole(tested: CoreUnderTest) -> None:
    """Check that what is live is complete, and that nothing is pending."""
    report = await check(tested.metadata, tested.blobs, read_digests=True, progress=lambda _: None)
    assert report.findings == ()
    rows = await tested.metadata.list_blobs("", 10_000)
    assert BlobState.PENDING not in {row.state for row in rows}
