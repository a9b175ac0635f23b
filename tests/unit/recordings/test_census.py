"""What is counted of recordings that run."""

from __future__ import annotations

from kazoo_media.access.accounts import WriteScope
from kazoo_media.recordings.census import Census
from tests.contract.recording_driver import SPEC, audio
from tests.support.core_fixtures import make_core
from tests.support.counted import Counted

_SCOPE = WriteScope("a" * 32)
_HOUR_MS = 3_600_000


async def test_streams_flushes_and_interrupted_recordings_are_counted() -> None:
    metrics = Counted()
    tested = await make_core(metrics=metrics)
    recordings = tested.core.recordings
    async with recordings.running():
        stream = await recordings.open(_SCOPE, "call", SPEC)
        await recordings.open(_SCOPE, "other", SPEC)
        await stream.append(0, audio(100))
        await stream.flush()
        assert metrics.value("streams") == 2
        assert metrics.value("held_bytes") == 0
        assert metrics.value("flush_seconds_count") >= 1
        await recordings.drain()
    touched_ms = (await recordings.get(_SCOPE, "call")).row.touched_ms
    census = Census(tested.metadata, metrics, lambda: touched_ms + 2 * _HOUR_MS)
    await census.count()
    assert metrics.value("open_uploads", state="interrupted") == 2
    assert metrics.value("open_uploads", state="receiving") == 0
    assert metrics.value("tail_bytes") == 100
    assert metrics.value("oldest_interrupted_seconds") >= 7200
