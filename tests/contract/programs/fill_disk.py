"""Fill the small disk that a folder is, see both stores refuse, make space, see them recover."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.errors import StorageFullError
from kazoo_media.metadata.reserve import RESERVE_BYTES
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Media, MediaQuery


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


async def _check_blobs(folder: Path) -> None:
    blobs = LocalBlobStore(folder / "blobs")
    for key in ("0" * 32, "1" * 32):
        writer = await blobs.create(key)
        try:
            for _ in range(20):
                await writer.write([bytes(1 << 20)])
        except StorageFullError:
            await writer.discard()
        else:
            raise AssertionError("20 MiB fit on the disk")
    assert [each async for each in blobs.list()] == []
    writer = await blobs.create("2" * 32)
    await writer.write([b"fits"])
    await blobs.publish([writer])
    reader = await blobs.open("2" * 32)
    assert reader is not None
    async with reader:
        assert [each async for each in reader.read(0, 4)] == [b"fits"]
    await blobs.aclose()


async def _check_metadata(folder: Path) -> None:
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    media = [Media("a", f"{number:04}", {"text": "x" * 2000}, "1-x", 1, 1) for number in range(400)]
    await asyncio.gather(*(metadata.insert_media(each) for each in media[:100]))
    filler = folder / "filler"
    await asyncio.to_thread(_fill, filler)
    results = await asyncio.gather(
        *(metadata.insert_media(each) for each in media[100:]), return_exceptions=True
    )
    refused = [each for each in results if each is not None]
    assert refused, "nothing was refused on a full disk"
    assert all(isinstance(each, StorageFullError) for each in refused), refused[:3]
    accepted = media[:100] + [
        each for each, result in zip(media[100:], results, strict=True) if result is None
    ]
    assert await metadata.list_media("a", MediaQuery(1000)) == accepted
    await _check_removal(metadata, accepted[:90], filler.parent)
    accepted = accepted[90:]
    assert await metadata.list_media("a", MediaQuery(1000)) == accepted
    await asyncio.to_thread(os.unlink, filler)
    await metadata.bump_settings_revision()
    assert _reserved_bytes(folder) == RESERVE_BYTES, "the reserve was not made again"
    for each in media:
        if each not in accepted and each not in media[:90:3]:
            await metadata.insert_media(each)
    expected = [each for each in media if each not in media[:90:3]]
    assert await metadata.list_media("a", MediaQuery(1000)) == expected
    await metadata.aclose()
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    assert await metadata.list_media("a", MediaQuery(1000)) == expected
    await metadata.aclose()


async def _check_removal(
    metadata: SqliteMetadataStore, media: Sequence[Media], folder: Path
) -> None:
    """Remove media on a full disk, each third softly, while other writes are refused."""
    for number, each in enumerate(media):
        await asyncio.to_thread(_fill, folder / f"filler{number}")
        remove = metadata.remove_media if number % 3 else metadata.soft_delete_media
        await remove("a", each.id, each.revision, 2)
    assert await metadata.purge_media("a", 1, 100, 3) == 0
    await metadata.expire_pending(1, 2)
    for number in range(len(media)):
        await asyncio.to_thread(os.unlink, folder / f"filler{number}")


def _reserved_bytes(folder: Path) -> int:
    return (folder / "m.sqlite.reserve").stat().st_blocks * 512


asyncio.run({"blobs": _check_blobs, "metadata": _check_metadata}[sys.argv[1]](Path(sys.argv[2])))
