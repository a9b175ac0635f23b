"""The contract suite of blob stores."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import ClassVar

import pytest

from kazoo_media.blobs.store import (
    READ_CHUNK_BYTES,
    BlobReader,
    BlobStore,
    BlobWriter,
    blob_key_beside,
    new_blob_key,
)
from kazoo_media.errors import StoreUnavailableError

KIB_64 = 64 * 1024
MIB = 1024 * 1024
SIZES = [
    0,
    1,
    KIB_64 - 1,
    KIB_64,
    KIB_64 + 1,
    READ_CHUNK_BYTES - 1,
    READ_CHUNK_BYTES,
    READ_CHUNK_BYTES + 1,
    3 * READ_CHUNK_BYTES + 17,
]


def noise(size: int) -> bytes:
    """Return bytes in which every offset can be told from every other."""
    return random.Random(size).randbytes(size)


async def stored(store: BlobStore, *chunks: bytes) -> str:
    """Return the key of a new published blob."""
    key = new_blob_key()
    await store.publish([await written(store, key, *chunks)])
    return key


async def written(
    store: BlobStore, key: str, *chunks: bytes, head_changes: bool = False
) -> BlobWriter:
    """Return the writer of a blob that is not published."""
    writer = await store.create(key, head_changes=head_changes)
    await writer.write(chunks)
    return writer


async def read(reader: BlobReader, offset: int, length: int) -> bytes:
    """Return a range, after a look at how it came."""
    chunks = [chunk async for chunk in reader.read(offset, length)]
    assert all(0 < len(each) <= READ_CHUNK_BYTES for each in chunks)
    return b"".join(chunks)


async def content(store: BlobStore, key: str) -> bytes:
    """Return all bytes of a published blob."""
    reader = await store.open(key)
    assert reader is not None
    async with reader:
        return await read(reader, 0, reader.size_bytes)


async def names(store: BlobStore) -> set[tuple[str, bool]]:
    """Return keys and whether they are published."""
    return {(each.key, each.published) async for each in store.list()}


class BlobStoreContract:
    """Every promise of `BlobStore`. A subclass names its driver and supplies `store`."""

    driver: ClassVar[type[BlobStore]]

    @pytest.mark.parametrize("size", SIZES)
    async def test_a_published_blob_is_read_back(self, store: BlobStore, size: int) -> None:
        data = noise(size)
        assert await content(store, await stored(store, data)) == data

    @pytest.mark.parametrize("chunk_size", [1, 7, KIB_64 - 1, KIB_64, KIB_64 + 1, 1 << 20])
    async def test_chunks_of_any_size_are_joined(self, store: BlobStore, chunk_size: int) -> None:
        data = noise(min(5000 * chunk_size, 2_000_000))
        chunks = [data[at : at + chunk_size] for at in range(0, len(data), chunk_size)]
        assert await content(store, await stored(store, b"", *chunks, b"")) == data

    async def test_writes_append(self, store: BlobStore) -> None:
        key = new_blob_key()
        writer = await store.create(key)
        pieces: list[Sequence[bytes]] = [[b"ab", b"c"], [], [b""], [b"d"]]
        for chunks in pieces:
            await writer.write(chunks)
        await store.publish([writer])
        assert await content(store, key) == b"abcd"

    async def test_a_blob_is_invisible_until_it_is_published(self, store: BlobStore) -> None:
        key = new_blob_key()
        writer = await store.create(key)
        await writer.write([b"abc"])
        assert await store.open(key) is None
        await store.publish([writer])
        assert await content(store, key) == b"abc"

    async def test_an_unknown_key_is_no_blob(self, store: BlobStore) -> None:
        assert await store.open(new_blob_key()) is None

    @pytest.mark.parametrize("size", [6, 2 * MIB])
    async def test_the_head_can_be_overwritten(self, store: BlobStore, size: int) -> None:
        key, tail = new_blob_key(), noise(size)
        writer = await written(store, key, b"....", tail[:-1], head_changes=True)
        await writer.overwrite_head(b"RIFF1")
        await writer.write([tail[-1:]])
        await store.publish([writer])
        assert await content(store, key) == b"RIFF1" + tail[1:]

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 0),
            (0, 1),
            (READ_CHUNK_BYTES - 1, 2),
            (5, READ_CHUNK_BYTES),
            (100, 2 * READ_CHUNK_BYTES + 1),
            (2 * READ_CHUNK_BYTES + 999, 1),
            (2 * READ_CHUNK_BYTES + 1000, 0),
            (0, 2 * READ_CHUNK_BYTES + 1000),
        ],
    )
    async def test_a_range_is_exactly_its_bytes(
        self, store: BlobStore, offset: int, length: int
    ) -> None:
        data = noise(2 * READ_CHUNK_BYTES + 1000)
        reader = await store.open(await stored(store, data))
        assert reader is not None
        async with reader:
            assert reader.size_bytes == len(data)
            assert await read(reader, offset, length) == data[offset : offset + length]

    async def test_one_reader_serves_many_ranges_at_once(self, store: BlobStore) -> None:
        data = noise(6 * READ_CHUNK_BYTES)
        reader = await store.open(await stored(store, data))
        assert reader is not None
        async with reader:
            offsets = [number * 12_345 for number in range(10)]
            found = await asyncio.gather(*(read(reader, at, 700_000) for at in offsets))
        assert found == [data[at : at + 700_000] for at in offsets]

    async def test_a_read_may_be_given_up_half_way(self, store: BlobStore) -> None:
        data = noise(4 * READ_CHUNK_BYTES)
        key = await stored(store, data)
        for _ in range(20):
            reader = await store.open(key)
            assert reader is not None
            async with reader:
                async for chunk in reader.read(0, len(data)):
                    assert chunk == data[: len(chunk)]
                    break
        assert await content(store, key) == data

    async def test_a_cancelled_read_leaves_the_blob_readable(self, store: BlobStore) -> None:
        data = noise(4 * READ_CHUNK_BYTES)
        key = await stored(store, data)
        for steps in range(20):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(content(store, key))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
            assert task.cancelled() or task.result() == data
        assert await content(store, key) == data

    async def test_deleting_does_not_disturb_an_open_reader(self, store: BlobStore) -> None:
        data = noise(6 * READ_CHUNK_BYTES)
        key = await stored(store, data)
        reader = await store.open(key)
        assert reader is not None
        async with reader:
            await store.delete(key)
            assert await store.open(key) is None
            if store.keeps_open_blobs:
                assert await read(reader, 0, len(data)) == data
            else:  # broken off, never short
                with pytest.raises(StoreUnavailableError):
                    await read(reader, 0, len(data))
        assert await names(store) == set()

    async def test_deleting_what_is_not_there_is_no_error(self, store: BlobStore) -> None:
        key = await stored(store, b"x")
        await store.delete(new_blob_key())
        await store.delete(key)
        await store.delete(key)
        assert await names(store) == set()

    async def test_a_blob_deleted_while_written_is_not_published(self, store: BlobStore) -> None:
        key = new_blob_key()
        writer = await written(store, key, noise(2 * MIB))
        await store.delete(key)
        with pytest.raises(StoreUnavailableError):
            await store.publish([writer])
        await writer.discard()
        assert await store.open(key) is None
        assert await names(store) == set()

    async def test_a_discarded_blob_leaves_nothing(self, store: BlobStore) -> None:
        for data in (b"", b"abc", noise(2 * MIB)):
            key = new_blob_key()
            writer = await written(store, key, data)
            await writer.discard()
            await writer.discard()
            assert await store.open(key) is None
        assert await names(store) == set()

    async def test_discarding_after_publishing_keeps_the_blob(self, store: BlobStore) -> None:
        key = new_blob_key()
        writer = await store.create(key)
        await writer.write([b"abc"])
        await store.publish([writer])
        await writer.discard()
        assert await content(store, key) == b"abc"

    async def test_a_listing_shows_published_and_unpublished(self, store: BlobStore) -> None:
        before_ms = time.time_ns() // 1_000_000 - 1000
        published = {await stored(store, b"x" * size): size for size in range(20)}
        unpublished = new_blob_key()
        writer = await written(store, unpublished, noise(2 * MIB))
        listed = {each.key: each async for each in store.list()}
        assert listed.keys() == {*published, unpublished}
        assert not listed[unpublished].published
        assert listed[unpublished].size_bytes == 2 * MIB
        for key, size in published.items():
            assert listed[key].published
            assert listed[key].size_bytes == size
            assert before_ms <= listed[key].modified_ms <= time.time_ns() // 1_000_000 + 1000
        await writer.discard()

    async def test_an_empty_store_lists_nothing(self, store: BlobStore) -> None:
        assert await names(store) == set()

    async def test_many_blobs_are_written_at_once(self, store: BlobStore) -> None:
        payloads = [noise(100_000 + number) for number in range(30)]
        keys = await asyncio.gather(
            *(stored(store, each[:50_000], each[50_000:]) for each in payloads)
        )
        assert [await content(store, key) for key in keys] == payloads

    async def test_a_cancelled_write_can_be_discarded(self, store: BlobStore) -> None:
        data = noise(4 * 1024 * 1024)
        for steps in range(20):
            writer = await store.create(new_blob_key())
            async with asyncio.TaskGroup() as group:
                task = group.create_task(writer.write([data]))
                for _ in range(steps % 3):
                    await asyncio.sleep(0)
                task.cancel()
            await writer.discard()
            # A thread still writing would hit this blob, which has the old one's descriptor.
            assert await content(store, await stored(store, b"clean")) == b"clean"
        assert {published for _, published in await names(store)} == {True}

    async def test_a_cancelled_publish_happened_or_did_not(self, store: BlobStore) -> None:
        for steps in range(20):
            key = new_blob_key()
            writer = await store.create(key)
            await writer.write([b"whole"])
            async with asyncio.TaskGroup() as group:
                task = group.create_task(store.publish([writer]))
                for _ in range(steps % 4):
                    await asyncio.sleep(0)
                task.cancel()
            await writer.discard()
            if (reader := await store.open(key)) is not None:
                async with reader:
                    assert await read(reader, 0, reader.size_bytes) == b"whole"
        assert all(published for _, published in await names(store))

    async def test_blobs_are_published_together(self, store: BlobStore) -> None:
        first = new_blob_key()
        blobs = {
            first: noise(70_000),
            blob_key_beside(first): b"",
            new_blob_key(): noise(3 * MIB),
            new_blob_key(): b"other",
        }
        writers = [await written(store, key, data[:9], data[9:]) for key, data in blobs.items()]
        for key in blobs:
            assert await store.open(key) is None
        await store.publish(writers)
        assert await names(store) == {(key, True) for key in blobs}
        assert {key: await content(store, key) for key in blobs} == blobs

    async def test_nothing_at_all_is_published(self, store: BlobStore) -> None:
        await store.publish([])
        assert await names(store) == set()

    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_when_one_of_several_cannot_be_published_none_is_there(
        self, store: BlobStore, place: int
    ) -> None:
        sizes = [5, 5, 2 * MIB]
        keys = [new_blob_key() for _ in sizes]
        sizes[place] = 2 * MIB
        writers = [
            await written(store, key, noise(size)) for key, size in zip(keys, sizes, strict=True)
        ]
        await store.delete(keys[place])
        with pytest.raises(StoreUnavailableError):
            await store.publish(writers)
        for writer in writers:
            await writer.discard()
        assert await names(store) == set()

    async def test_a_cancelled_publication_of_several_tears_none(self, store: BlobStore) -> None:
        for steps in range(20):
            blobs = {new_blob_key(): noise(size) for size in (5, 2 * MIB)}
            writers = [await written(store, key, data) for key, data in blobs.items()]
            async with asyncio.TaskGroup() as group:
                task = group.create_task(store.publish(writers))
                for _ in range(steps % 4):
                    await asyncio.sleep(0)
                task.cancel()
            for writer in writers:
                await writer.discard()
            for key, data in blobs.items():
                if (reader := await store.open(key)) is not None:
                    async with reader:
                        assert await read(reader, 0, reader.size_bytes) == data
        assert all(published for _, published in await names(store))

    async def test_a_cancelled_create_leaves_nothing(self, store: BlobStore) -> None:
        for steps in range(8):
            key = new_blob_key()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(store.create(key))
                for _ in range(steps % 4):
                    await asyncio.sleep(0)
                task.cancel()
            if not task.cancelled():
                await task.result().discard()
        assert await names(store) == set()

    @pytest.mark.parametrize("size_bytes", [0, 1, MIB + 1])
    async def test_a_read_in_the_background_gives_the_same_bytes(
        self, store: BlobStore, size_bytes: int
    ) -> None:
        data = noise(size_bytes)
        key = await stored(store, data)
        reader = await store.open(key, in_background=True)
        assert reader is not None
        async with reader:
            assert b"".join([each async for each in reader.read(0, size_bytes)]) == data
        assert await store.open(new_blob_key(), in_background=True) is None
