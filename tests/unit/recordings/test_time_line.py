"""The layout that pauses and gaps make of a recording."""

from __future__ import annotations

import pytest

from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.time_line import (
    Gap,
    Mark,
    Pause,
    PauseMode,
    Resume,
    Silence,
    Span,
    Stored,
    layout,
    with_mark,
)

_STEREO = RawAudio(RawEncoding.LINEAR16, 8000, 2)  # frames of 4 bytes
_SKIP, _SILENT = Pause(PauseMode.SKIP), Pause(PauseMode.SILENCE)


@pytest.mark.parametrize(
    ("marks", "spans"),
    [
        ([], [Stored(0, 100)]),
        ([(8, _SILENT), (16, Resume())], [Stored(0, 100)]),
        ([(8, _SKIP), (16, Resume())], [Stored(0, 8), Stored(16, 100)]),
        # What is left out consists of whole frames, so that the channels do not change places.
        ([(9, _SKIP), (19, Resume())], [Stored(0, 12), Stored(16, 100)]),
        ([(9, _SKIP), (10, Resume())], [Stored(0, 12), Stored(12, 100)]),
        ([(8, _SKIP)], [Stored(0, 8)]),
        ([(0, _SKIP), (8, _SILENT), (16, Resume())], [Stored(8, 100)]),
        ([(0, _SILENT), (8, _SKIP), (16, Resume())], [Stored(0, 8), Stored(16, 100)]),
        ([(10, Gap(1))], [Stored(0, 8), Silence(32), Stored(8, 100)]),
        ([(0, Gap(1)), (100, Gap(2))], [Silence(32), Stored(0, 100), Silence(64)]),
        ([(8, _SKIP), (12, Gap(5)), (16, Resume())], [Stored(0, 8), Stored(16, 100)]),
        ([(99, _SKIP), (101, Resume())], [Stored(0, 100)]),
    ],
)
def test_a_layout_has_what_is_kept_and_the_gaps_in_whole_frames(
    marks: list[tuple[int, Mark]], spans: list[Span]
) -> None:
    line = "[]"
    for offset, mark in marks:
        line = with_mark(line, offset, mark)
    assert layout(line, 102, _STEREO) == spans
