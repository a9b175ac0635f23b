"""Publish blobs: piece by piece, as a whole, two at once. Then insert five media, one by one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Media


async def _main(folder: Path) -> None:
    blobs = LocalBlobStore(folder / "blobs")
    writer = await blobs.create("ab" * 16)
    await writer.write([b"x" * 100_000])
    await writer.publish()
    await blobs.put({"cd" * 16: [b"x" * 100_000]})
    await blobs.put({key: [b"x" * 100_000] for key in ("ef" * 16, "ef" + "01" * 15)})
    await blobs.aclose()
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    for number in range(5):
        await metadata.insert_media(Media("a", f"id-{number}", {}, "1-x", 1, 1))
        print(f"acknowledged {number}", flush=True)
    await metadata.aclose()


asyncio.run(_main(Path(sys.argv[1])))
