"""What may happen to an upload: pauses, and what a flush of a stream does to its row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kazoo_media.errors import (
    StoreUnavailableError,
    TakenOverError,
    UploadEndedError,
    ValidationError,
)
from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.states import (
    Received,
    appended,
    declared,
    paused,
    resumed,
)
from kazoo_media.recordings.time_line import Gap, Mark, Pause, PauseMode, Resume, marks_of

_RAW = RawAudio(RawEncoding.ALAW, 8000, 1)
_SILENCE = b"\xd5"
ROW = UploadRow(
    account_id="a",
    id="u",
    state=UploadState.RECEIVING,
    spec="",
    media_id="m",
    created_ms=0,
    touched_ms=0,
)


def _flushed(row: UploadRow, *parts: bytes | Mark, now_ms: int = 1) -> tuple[UploadRow, bytes]:
    return appended(
        row, Received(row.epoch, row.persisted_size, parts, _RAW, ends=False, now_ms=now_ms)
    )


def _paused(row: UploadRow, mode: PauseMode = PauseMode.SILENCE) -> UploadRow:
    return paused(row, mode, is_raw=True, now_ms=1)


def _resumed(row: UploadRow) -> UploadRow:
    return resumed(row, is_raw=True, now_ms=1)


def test_a_size_is_told_once_and_covers_what_has_arrived() -> None:
    row, _ = _flushed(ROW, b"12345")
    row = declared(row, 9, now_ms=2)
    assert declared(row, 9, now_ms=3).declared_size == 9
    for size in (4, 10):
        with pytest.raises(ValidationError):
            declared(row, size, now_ms=3)
    row, _ = _flushed(row, b"6789")
    assert row.declared_size == 9
    with pytest.raises(UploadEndedError):
        declared(replace(row, state=UploadState.COMMITTING), 9, now_ms=4)


def test_everything_that_arrived_before_the_end_of_a_pause_was_seen_is_masked() -> None:
    row, data = _flushed(_paused(ROW), b"secret")
    assert data == _SILENCE * 6
    row, data = _flushed(_resumed(row), b"on its way")
    assert data == _SILENCE * 10
    row, data = _flushed(row, b"public")
    assert data == b"public"
    line = [(each["mark"], each["offset"]) for each in marks_of(row.marks)]
    assert line == [("pause", 0), ("resume", 16)]


def test_a_pause_after_the_request_to_resume_goes_on() -> None:
    row = _paused(_resumed(_paused(ROW)))
    row, _ = _flushed(row, b"secret")
    _, data = _flushed(row, b"secret")
    assert data == _SILENCE * 6


def test_the_recorder_does_not_end_the_pause_of_a_request_nor_the_other_way_round() -> None:
    row, data = _flushed(_paused(ROW), Pause(PauseMode.SKIP), b"ab", Resume(), b"cd")
    assert data == _SILENCE * 4
    row, data = _flushed(row, Pause(PauseMode.SILENCE), b"ef")
    row, data = _flushed(_resumed(row), b"gh")
    assert data == _SILENCE * 2
    row, data = _flushed(row, b"ij", Resume(), b"kl")
    assert data == _SILENCE * 2 + b"kl"
    assert [each["mark"] for each in marks_of(row.marks)] == ["pause", "resume"]


def test_a_stream_with_an_older_epoch_stores_nothing() -> None:
    newer = replace(ROW, epoch=2)
    with pytest.raises(TakenOverError):
        appended(newer, Received(1, 0, [b"a"], _RAW, ends=True, now_ms=1))
    for state in set(UploadState) - {UploadState.RECEIVING}:
        with pytest.raises(TakenOverError):
            _flushed(replace(ROW, state=state), b"a")


def test_bytes_are_never_stored_behind_a_flush_that_is_missing() -> None:
    with pytest.raises(StoreUnavailableError):
        appended(ROW, Received(1, 5, [b"a"], _RAW, ends=False, now_ms=1))


def test_a_flush_without_anything_writes_only_once_a_minute() -> None:
    assert _flushed(ROW, now_ms=60_000) == (ROW, b"")
    touched, _ = _flushed(ROW, now_ms=60_001)
    assert touched == replace(ROW, touched_ms=60_001)


def test_a_repeated_gap_counts_once_and_the_last_one_wins() -> None:
    row, _ = _flushed(ROW, b"abc", Gap(10), Gap(20), b"d", Gap(5))
    assert [each["gap_ms"] for each in marks_of(row.marks)] == [20, 5]


def test_only_an_open_upload_can_be_paused_and_not_without_end() -> None:
    with pytest.raises(UploadEndedError):
        _paused(replace(ROW, state=UploadState.COMMITTING))
    row = ROW
    with pytest.raises(ValidationError):  # noqa: PT012 - one of them is refused
        for mode in [PauseMode.SKIP, PauseMode.SILENCE] * 1001:
            row = _paused(row, mode)
    assert len(marks_of(row.marks)) == 2000
