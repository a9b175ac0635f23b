"""Masked audio reaches no disk."""

from __future__ import annotations

from pathlib import Path

from kazoo_media.access.accounts import WriteScope
from kazoo_media.recordings.spec import Ending
from kazoo_media.recordings.time_line import Pause, PauseMode, Resume
from tests.contract.recording_driver import SPEC, audio
from tests.support.core_fixtures import core_on_disk

_SCOPE = WriteScope("a" * 32)
_PUBLIC, _BY_RECORDER, _BY_REQUEST = (audio(300_000, seed) for seed in (1, 2, 3))


def _found(folder: Path, data: bytes) -> bool:
    """Return whether a file has a part of the data, in steps that no page of a database hides."""
    probes = [data[at : at + 32] for at in range(0, len(data) - 32, 10_000)]
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return any(probe in content for probe in probes for content in contents)


def _check(folder: Path) -> None:
    assert _found(folder, _PUBLIC)
    assert not _found(folder, _BY_RECORDER)
    assert not _found(folder, _BY_REQUEST)


async def test_no_file_ever_has_what_was_masked(tmp_path: Path) -> None:
    async with core_on_disk(tmp_path) as tested, tested.core.recordings.running():
        recordings = tested.core.recordings
        stream = await recordings.open(_SCOPE, "call", SPEC)
        await stream.append(0, _PUBLIC)
        stream.mark(300_000, Pause(PauseMode.SKIP))
        await stream.append(300_000, _BY_RECORDER)
        stream.mark(600_000, Resume())
        await stream.flush()
        await recordings.pause(_SCOPE, "call", PauseMode.SILENCE)
        await stream.append(600_000, _BY_REQUEST)
        await stream.flush()
        _check(tmp_path)
        outcome = await recordings.finish(stream, Ending(size_bytes=900_000))
        _check(tmp_path)
        assert outcome.media is not None
        assert outcome.media.document["duration_ms"] == 75_000
