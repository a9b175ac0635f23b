"""Publish blobs: a large one, a small one, two at once; delete the first two. Then insert five
media, one by one.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from kazoo_media.blobs.local import LocalBlobStore
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Media


async def _main(folder: Path) -> None:
    blobs = LocalBlobStore(folder / "blobs")
    for size, *keys in (
        (1 << 20, "ab" * 16),
        (100_000, "cd" * 16),
        (100_000, "ef" * 16, "ef" + "01" * 15),
    ):
        writers = [await blobs.create(key) for key in keys]
        for writer in writers:
            await writer.write([b"x" * size])
        await blobs.publish(writers)
    for key in ("ab" * 16, "cd" * 16):
        await blobs.delete(key)
    await blobs.aclose()
    metadata = await SqliteMetadataStore.open(folder / "m.sqlite", shared=False)
    for number in range(5):
        await metadata.insert_media(Media("a", f"id-{number}", {}, "1-x", 1, 1))
        print(f"acknowledged {number}", flush=True)
    await metadata.aclose()


asyncio.run(_main(Path(sys.argv[1])))
