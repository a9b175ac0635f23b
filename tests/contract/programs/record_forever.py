"""Record without end into the stores of a folder; print what is acknowledged: id, bytes, end.

The bytes of a recording are known from its id, so another process can check them.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from kazoo_media.access.accounts import WriteScope
from kazoo_media.core import Core
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.spec import Ending, UploadSpec
from tests.support.core_fixtures import core_on_disk

SCOPE = WriteScope("a" * 32)
SPEC = UploadSpec(document={"name": "call"}, raw=RawAudio(RawEncoding.MULAW, 8000, 1))


def content(upload_id: str, size_bytes: int) -> bytes:
    """Return the first bytes that are sent to an upload."""
    return random.Random(upload_id).randbytes(size_bytes)


async def _record(core: Core, upload_id: str) -> None:
    data = content(upload_id, 600_000)
    stream = await core.recordings.open(SCOPE, upload_id, SPEC)
    while stream.received_size < len(data):
        at = stream.received_size
        await stream.append(at, data[at : at + random.choice([300, 8_000, 60_000])])
        if random.random() < 0.3:
            row = await stream.flush()
            os.write(1, f"{upload_id} {row.persisted_size} -\n".encode())
    outcome = await core.recordings.finish(stream, Ending(size_bytes=len(data)))
    assert outcome.media is not None
    os.write(1, f"{upload_id} {len(data)} {outcome.media.id}\n".encode())


async def _lane(core: Core, lane: int) -> None:
    for turn in range(10**9):
        await _record(core, f"{os.getpid()}-{lane}-{turn}")


async def _main(folder: Path) -> None:
    async with core_on_disk(folder) as tested, tested.core.recordings.running():
        await asyncio.gather(*(_lane(tested.core, lane) for lane in range(3)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
