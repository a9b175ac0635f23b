"""The cache on the disk of a node."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from kazoo_media.blobs.cached import MOST_CACHED_BYTES, CachedBlobStore
from kazoo_media.blobs.store import BlobReader, BlobStore, new_blob_key
from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metrics import NO_METRICS, Metrics
from tests.contract.blob_store import MIB, content, noise, read, stored
from tests.support.counted import Counted
from tests.support.memory_blobs import MemoryBlobStore

PROMPT = noise(600_000)


class Distant(MemoryBlobStore):
    """A store elsewhere. Each blob that it opens costs a request; it may be gone."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.is_gone = False

    @override
    async def open(self, key: str, *, in_background: bool = False) -> BlobReader | None:
        self.requests += 1
        await asyncio.sleep(0.001)
        if self.is_gone:
            raise StoreUnavailableError
        return await super().open(key, in_background=in_background)


@pytest.fixture
def distant() -> Distant:
    return Distant()


@asynccontextmanager
async def cached(
    distant: Distant,
    folder: Path,
    capacity_bytes: int = 64 * MIB,
    metrics: Metrics = NO_METRICS,
) -> AsyncIterator[CachedBlobStore]:
    """Give what one worker of a node has."""
    store = CachedBlobStore(distant, folder, capacity_bytes, metrics)
    yield store
    await store.aclose()


def files(folder: Path) -> dict[str, int]:
    """Return the sizes of all cached files and of parts of them."""
    return {each.name: each.stat().st_size for each in folder.glob("??/*")}


def used(folder: Path) -> int:
    """Return what all files take at one moment, in which none is evicted or begun."""
    with (folder / "usage").open("ab") as usage:
        fcntl.flock(usage, fcntl.LOCK_EX)
        found = files(folder)
    return sum({name.removesuffix(".part"): size for name, size in found.items()}.values())


async def test_a_prompt_is_fetched_once_a_node(distant: Distant, tmp_path: Path) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path / "c") as one, cached(distant, tmp_path / "c") as other:
        workers: list[BlobStore] = [one, other] * 20
        found = await asyncio.gather(*(content(each, key) for each in workers))
        assert set(found) == {PROMPT}
        distant.is_gone = True
        assert await content(one, key) == PROMPT
    async with cached(distant, tmp_path / "c") as restarted:
        assert await content(restarted, key) == PROMPT
    assert distant.requests == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300_000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zero_the_end_of_the_audio(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:400_000] + bytes(200_000) + data[600_000:])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[300_000] ^= 1
    path.write_bytes(data)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    "damage", [cut, halve, empty, zero, zero_the_end_of_the_audio, flip, lengthen]
)
async def test_a_cut_or_changed_file_is_never_served(
    distant: Distant, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path) as store:
        assert await content(store, key) == PROMPT
        await asyncio.to_thread(damage, tmp_path / key[:2] / key)
        for _ in range(3):
            assert await content(store, key) == PROMPT
        reader = await store.open(key)
        assert reader is not None
        async with reader:
            assert await read(reader, 299_990, 20) == PROMPT[299_990:300_010]
    # Once for the damaged file, perhaps once more when it is cached again.
    assert distant.requests in (2, 3)


async def test_a_damaged_file_whose_blob_is_gone_breaks_the_read_off(
    distant: Distant, tmp_path: Path
) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path) as store:
        assert await content(store, key) == PROMPT
        await asyncio.to_thread(flip, tmp_path / key[:2] / key)
        await distant.delete(key)
        with pytest.raises(StoreUnavailableError):
            await content(store, key)


async def test_the_cache_is_bounded_while_many_blobs_are_fetched(
    distant: Distant, tmp_path: Path
) -> None:
    blobs = {await stored(distant, noise(50_000 + n)): noise(50_000 + n) for n in range(60)}
    most = 0
    async with (
        cached(distant, tmp_path, MIB) as one,
        cached(distant, tmp_path, MIB) as other,
    ):
        for keys in (list(blobs), list(reversed(blobs))):
            readings = [content(each, key) for key in keys for each in (one, other)]
            for reading in asyncio.as_completed(readings):
                await reading
                most = max(most, await asyncio.to_thread(used, tmp_path))
        for key, data in blobs.items():
            assert await content(one, key) == data
    assert 0.5 * MIB < most <= MIB


async def test_what_was_read_last_stays(distant: Distant, tmp_path: Path) -> None:
    prompt, metrics = await stored(distant, noise(100_000)), Counted()
    async with cached(distant, tmp_path, MIB, metrics) as store:
        await content(store, prompt)
        for _ in range(30):
            await content(store, await stored(distant, noise(100_000)))
            await content(store, prompt)
    assert distant.requests == 31
    assert metrics.value("blob_cache_total", result="miss") == 31
    assert metrics.value("blob_cache_total", result="hit") == 30
    kept = len(files(tmp_path))
    assert metrics.value("blob_cache_total", result="evicted") == 31 - kept


async def test_a_large_blob_is_read_from_the_store(distant: Distant, tmp_path: Path) -> None:
    data = noise(MOST_CACHED_BYTES + 1)
    key = await stored(distant, data)
    async with cached(distant, tmp_path, 1024 * MIB) as store:
        assert await content(store, key) == data
        assert await asyncio.to_thread(files, tmp_path) == {}


async def test_what_a_killed_process_has_left_is_no_blob(distant: Distant, tmp_path: Path) -> None:
    key = await stored(distant, PROMPT)
    folder = tmp_path / key[:2]
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / f"{key}.part").write_bytes, PROMPT[:1000] * 900)
    abandoned = tmp_path / key[:2] / f"{new_blob_key()}.part"
    await asyncio.to_thread(abandoned.write_bytes, bytes(MIB))
    async with cached(distant, tmp_path, 3 * MIB) as store:
        assert await content(store, key) == PROMPT
        for _ in range(8):
            await content(store, await stored(distant, PROMPT))
        found = await asyncio.to_thread(files, tmp_path)
    assert not [name for name in found if name.endswith(".part")]
    assert sum(found.values()) <= 3 * MIB


async def test_an_unusable_folder_costs_only_the_cache(distant: Distant, tmp_path: Path) -> None:
    key = await stored(distant, PROMPT)
    await asyncio.to_thread((tmp_path / "cache").write_bytes, b"")
    async with cached(distant, tmp_path / "cache") as store:
        assert await content(store, key) == PROMPT
        await store.delete(key)
        assert await store.open(key) is None


async def test_a_store_that_is_gone_is_reported_to_all_who_wait(
    distant: Distant, tmp_path: Path
) -> None:
    key = await stored(distant, PROMPT)
    distant.is_gone = True
    async with cached(distant, tmp_path) as store:
        results = await asyncio.gather(
            *(content(store, key) for _ in range(5)), return_exceptions=True
        )
        assert {type(each) for each in results} == {StoreUnavailableError}
        distant.is_gone = False
        assert await content(store, key) == PROMPT


async def test_a_copy_that_came_damaged_is_fetched_again_when_it_is_forgotten(
    distant: Distant, tmp_path: Path
) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path) as store:
        await content(store, key)
        await store.forget_copy(key)
        await store.forget_copy(key)
        assert await content(store, key) == PROMPT
    assert distant.requests == 2


async def test_blobs_that_are_read_once_take_no_room(distant: Distant, tmp_path: Path) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path) as store:
        assert await content(store.uncached, key) == PROMPT
        assert await asyncio.to_thread(files, tmp_path) == {}


async def test_checks_read_the_store_itself(distant: Distant, tmp_path: Path) -> None:
    key = await stored(distant, PROMPT)
    async with cached(distant, tmp_path) as store:
        await content(store, key)
        reader = await store.open(key, in_background=True)
        assert reader is not None
        await reader.aclose()
    assert distant.requests == 2
