"""The sweeper removes what nothing points to, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from kazoo_media.blobs.store import new_blob_key
from kazoo_media.errors import IncompleteUploadError, StoreUnavailableError
from kazoo_media.model import BlobRow, BlobState
from kazoo_media.upkeep.sweeper import Sweeper, SweepReport
from tests.contract.blob_store import names
from tests.contract.media_samples import ACCOUNT, keys_of, make_content, make_media, saved_with
from tests.support.counted import Counted
from tests.support.memory_blobs import MemoryBlobStore
from tests.support.memory_metadata import MemoryMetadataStore

HOUR_MS = 3_600_000


class Clock:
    """Time that moves when told."""

    now_ms = 1000 * HOUR_MS

    def __call__(self) -> int:
        return self.now_ms


class UnsureBlobStore(MemoryBlobStore):
    """A store that fails to delete some keys."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck: set[str] = set()

    async def delete(self, key: str) -> None:
        if key in self.stuck:
            raise StoreUnavailableError
        await super().delete(key)


class Swept:
    """Two stores, a clock and a sweeper."""

    def __init__(self) -> None:
        self.metadata = MemoryMetadataStore()
        self.blobs = UnsureBlobStore()
        self.clock = Clock()
        self.sweeper = Sweeper(self.metadata, self.blobs, clock=self.clock)

    async def put(self, key: str, *, publish: bool = True) -> None:
        writer = await self.blobs.create(key)
        await writer.write([b"bytes"])
        if publish:
            await self.blobs.publish([writer])

    async def rows(self) -> dict[str, BlobRow]:
        return {each.key: each for each in await self.metadata.list_blobs("", 1000)}

    async def put_dead(self, count: int) -> list[str]:
        keys = [new_blob_key() for _ in range(count)]
        await self.metadata.begin_upload(ACCOUNT, keys, 1)
        for key in keys:
            await self.put(key)
        await self.metadata.abandon_blobs(ACCOUNT, keys, 1)
        return keys


@pytest.fixture
def swept() -> Swept:
    return Swept()


async def test_a_running_upload_is_left_alone(swept: Swept) -> None:
    keys = [new_blob_key(), new_blob_key()]
    await swept.metadata.begin_upload(ACCOUNT, keys, swept.clock())
    await swept.put(keys[0], publish=False)
    swept.clock.now_ms += HOUR_MS
    assert await swept.sweeper.sweep() == SweepReport(0, 0, 0)
    await swept.metadata.touch_blobs(ACCOUNT, keys, swept.clock())
    swept.clock.now_ms += HOUR_MS
    assert await swept.sweeper.sweep() == SweepReport(0, 0, 0)
    assert await names(swept.blobs) == {(keys[0], False)}


async def test_an_abandoned_upload_goes_in_two_steps(swept: Swept) -> None:
    media = make_media()
    await swept.metadata.insert_media(media)
    content = make_content(5)
    await swept.metadata.begin_upload(ACCOUNT, keys_of(content), swept.clock())
    for key in keys_of(content):
        await swept.put(key)
    swept.clock.now_ms += HOUR_MS + 1
    assert await swept.sweeper.sweep() == SweepReport(2, 0, 0)
    assert len(await names(swept.blobs)) == 2
    with pytest.raises(IncompleteUploadError):
        await swept.metadata.commit_content(
            saved_with(media, content), media.revision, swept.clock()
        )
    swept.clock.now_ms += 6 * HOUR_MS + 1
    assert await swept.sweeper.sweep() == SweepReport(0, 2, 0)
    assert await names(swept.blobs) == set()
    assert await swept.rows() == {}


async def test_live_blobs_stay_and_replaced_ones_go_after_the_grace(swept: Swept) -> None:
    media = make_media()
    await swept.metadata.insert_media(media)
    contents = [make_content(1), make_content(2)]
    for content in contents:
        await swept.metadata.begin_upload(ACCOUNT, keys_of(content), swept.clock())
        for key in keys_of(content):
            await swept.put(key)
        saved = saved_with(media, content)
        await swept.metadata.commit_content(saved, media.revision, swept.clock())
        media = saved
    swept.clock.now_ms += 6 * HOUR_MS
    assert await swept.sweeper.sweep() == SweepReport(0, 0, 0)
    swept.clock.now_ms += 1
    assert await swept.sweeper.sweep() == SweepReport(0, 2, 0)
    assert await names(swept.blobs) == {(key, True) for key in keys_of(contents[1])}
    assert {each.state for each in (await swept.rows()).values()} == {BlobState.LIVE}


async def test_more_than_a_batch_goes_in_one_sweep(swept: Swept) -> None:
    await swept.put_dead(250)
    assert await swept.sweeper.sweep() == SweepReport(0, 250, 0)
    assert await names(swept.blobs) == set()
    assert await swept.rows() == {}


async def test_a_row_is_forgotten_only_after_its_blob_is_gone(swept: Swept) -> None:
    keys = await swept.put_dead(3)
    swept.blobs.stuck = {keys[1]}
    assert await swept.sweeper.sweep() == SweepReport(0, 2, 1)
    assert (await swept.rows()).keys() == {keys[1]}
    assert await names(swept.blobs) == {(keys[1], True)}
    swept.blobs.stuck = set()
    assert await swept.sweeper.sweep() == SweepReport(0, 1, 0)
    assert await swept.rows() == {}


async def test_the_loop_survives_a_store_that_is_down_for_a_while(swept: Swept) -> None:
    await swept.put_dead(2)
    outages = iter([True, True])
    real_expire = swept.metadata.expire_pending
    done = asyncio.Event()

    class FlakyMetadata(MemoryMetadataStore):
        async def expire_pending(self, untouched_since_ms: int, now_ms: int) -> int:
            if next(outages, False):
                raise StoreUnavailableError
            return await real_expire(untouched_since_ms, now_ms)

        async def forget_blobs(self, rows: object) -> None:
            await swept.metadata.forget_blobs(rows)  # type: ignore[arg-type]
            done.set()

        async def list_dead(self, untouched_since_ms: int, limit: int) -> list[BlobRow]:
            return await swept.metadata.list_dead(untouched_since_ms, limit)

    sweeper = Sweeper(FlakyMetadata(), swept.blobs, clock=swept.clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sweeper.run(0.001))
        await done.wait()
        task.cancel()
    assert await swept.rows() == {}
    assert await names(swept.blobs) == set()


async def test_sweeps_and_blobs_are_counted(swept: Swept) -> None:
    swept_once = asyncio.Event()

    class Noticed(Counted):
        def sweep_ended(self, result: str) -> None:
            super().sweep_ended(result)
            swept_once.set()

    metrics = Noticed()
    stuck, *_ = await swept.put_dead(3)
    swept.blobs.stuck.add(stuck)
    swept.clock.now_ms += 7 * HOUR_MS
    sweeper = Sweeper(swept.metadata, swept.blobs, clock=swept.clock, metrics=metrics)
    running = asyncio.ensure_future(sweeper.run(3600))
    await swept_once.wait()
    running.cancel()
    assert metrics.value("sweeps_total", result="done") == 1
    assert metrics.value("swept_blobs_total", result="removed") == 2
    assert metrics.value("swept_blobs_total", result="failed") == 1
