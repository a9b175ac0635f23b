"""When the tail of a recording becomes a blob."""

from __future__ import annotations

import pytest

from kazoo_media.access.accounts import WriteScope
from tests.contract.blob_store import names
from tests.contract.recording_driver import SPEC, audio
from tests.support.core_fixtures import make_core
from tests.support.counted import Counted
from tests.support.memory_blobs import MemoryBlobStore

_STEP_BYTES = 128 * 1024


@pytest.mark.parametrize("steps", [2, 8])
async def test_a_piece_is_as_large_as_is_worthwhile_for_the_store(steps: int) -> None:
    blobs = MemoryBlobStore()
    blobs.worthwhile_bytes = steps * _STEP_BYTES
    metrics = Counted()
    tested = await make_core(blobs=blobs, metrics=metrics)
    recordings = tested.core.recordings
    async with recordings.running():
        stream = await recordings.open(WriteScope("a" * 32), "call", SPEC)
        for step in range(steps):
            assert await names(blobs) == set()
            await stream.append(step * _STEP_BYTES, audio(_STEP_BYTES))
            await stream.flush()
    assert metrics.value("pieces_total", result="stored") == 1
    [blob] = [each async for each in blobs.list()]
    assert (blob.published, blob.size_bytes) == (True, steps * _STEP_BYTES)
