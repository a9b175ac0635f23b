"""Upload without end into the stores of a folder; print each acknowledged upload: id, number."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.blobs.store import blob_key_beside, new_blob_key
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import (
    Content,
    Media,
    Rendition,
    RenditionKind,
    first_revision,
    next_revision,
)

ACCOUNT = "a" * 32


async def _write(blobs: LocalBlobStore, keys: list[str]) -> list[bytes]:
    sizes = [0, 100, 5000, 300_000, 1_500_000]
    contents = [random.randbytes(random.choice(sizes)) for _ in keys]
    writers = [await blobs.create(key) for key in keys]
    for writer, data in zip(writers, contents, strict=True):
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            await writer.write([half])
    await blobs.publish(writers)
    return contents


async def _upload(
    metadata: MetadataStore, blobs: LocalBlobStore, media: Media, *, is_new: bool
) -> Media:
    key = new_blob_key()
    keys = [key, blob_key_beside(key)]
    await metadata.begin_upload(ACCOUNT, keys, 1000)
    contents = await _write(blobs, keys)
    original, normalized = (
        Rendition(kind, key, "audio/wav", len(data), hashlib.sha256(data).hexdigest())
        for kind, key, data in zip(RenditionKind, keys, contents, strict=True)
    )
    saved = replace(
        media,
        content=Content(original, normalized),
        document={"number": media.document["number"] + 1},
        revision=next_revision(media.revision),
    )
    if is_new:
        await metadata.insert_media(saved)
    else:
        await metadata.commit_content(saved, media.revision, 2000)
    return saved


async def _upload_forever(metadata: MetadataStore, blobs: LocalBlobStore, lane: int) -> None:
    for turn in range(10**9):
        media_id = f"{os.getpid()}-{lane}-{turn}"
        media = Media(ACCOUNT, media_id, {"number": 0}, first_revision(), 1, 1)
        with_content = turn % 2 == 0
        if not with_content:
            await metadata.insert_media(media)
        for number in range(3):
            is_new = with_content and number == 0
            media = await _upload(metadata, blobs, media, is_new=is_new)
            os.write(1, f"{media_id} {media.document['number']}\n".encode())


async def _main(folder: Path) -> None:
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    blobs = LocalBlobStore(folder / "blobs")
    await asyncio.gather(*(_upload_forever(metadata, blobs, lane) for lane in range(3)))


asyncio.run(_main(Path(sys.argv[1])))
