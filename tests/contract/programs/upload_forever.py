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
from kazoo_media.blobs.store import new_blob_key
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


async def _write(blobs: LocalBlobStore, key: str, kind: RenditionKind) -> Rendition:
    data = random.randbytes(random.choice([0, 100, 5000, 300_000]))
    writer = await blobs.create(key)
    await writer.write([data[: len(data) // 2]])
    await writer.write([data[len(data) // 2 :]])
    await writer.publish()
    return Rendition(kind, key, "audio/wav", len(data), hashlib.sha256(data).hexdigest())


async def _upload(metadata: MetadataStore, blobs: LocalBlobStore, media: Media) -> Media:
    keys = [new_blob_key(), new_blob_key()]
    await metadata.begin_upload(ACCOUNT, keys, 1000)
    original, normalized = await asyncio.gather(
        *(_write(blobs, key, kind) for key, kind in zip(keys, RenditionKind, strict=True))
    )
    saved = replace(
        media,
        content=Content(original, normalized),
        document={"number": media.document["number"] + 1},
        revision=next_revision(media.revision),
    )
    await metadata.commit_content(saved, media.revision, 2000)
    return saved


async def _upload_forever(metadata: MetadataStore, blobs: LocalBlobStore, lane: int) -> None:
    for turn in range(10**9):
        media_id = f"{os.getpid()}-{lane}-{turn}"
        media = Media(ACCOUNT, media_id, {"number": 0}, first_revision(), 1, 1)
        await metadata.insert_media(media)
        for _ in range(3):
            media = await _upload(metadata, blobs, media)
            os.write(1, f"{media_id} {media.document['number']}\n".encode())


async def _main(folder: Path) -> None:
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    blobs = LocalBlobStore(folder / "blobs")
    await asyncio.gather(*(_upload_forever(metadata, blobs, lane) for lane in range(3)))


asyncio.run(_main(Path(sys.argv[1])))
