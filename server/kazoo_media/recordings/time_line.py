"""The time line of a recording: pauses and gaps, and the layout of the audio that they make.

A time line is a JSON array of marks in the order of their offsets, which count received bytes:

    {"mark": "pause", "offset": 16000, "mode": "skip"}
    {"mark": "resume", "offset": 24000}
    {"mark": "gap", "offset": 24000, "gap_ms": 1500}
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from kazoo_media.recordings.raw_audio import RawAudio

MOST_MARKS = 1000


class PauseMode(enum.StrEnum):
    """What becomes of audio that arrives during a pause."""

    SILENCE = "silence"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Pause:
    """What follows is masked."""

    mode: PauseMode


@dataclass(frozen=True, slots=True)
class Resume:
    """What follows is kept."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was recorded here for a while."""

    gap_ms: int


Mark: TypeAlias = Pause | Resume | Gap


@dataclass(frozen=True, slots=True)
class Stored:
    """A range of the stored bytes, in the layout of a recording."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Return the length of the range."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Silence:
    """Silence that is not stored, in the layout of a recording."""

    size_bytes: int


Span: TypeAlias = Stored | Silence


def marks_of(time_line: str) -> list[dict[str, Any]]:
    """Return the marks of a time line."""
    marks: list[dict[str, Any]] = orjson.loads(time_line)
    return marks


def with_mark(time_line: str, offset: int, mark: Mark) -> str:
    """Return the time line with a mark at its end; a gap replaces one at the same offset."""
    marks = marks_of(time_line)
    match mark:
        case Pause(mode):
            marks.append({"mark": "pause", "offset": offset, "mode": str(mode)})
        case Resume():
            marks.append({"mark": "resume", "offset": offset})
        case Gap(gap_ms):
            marks = [each for each in marks if (each["mark"], each["offset"]) != ("gap", offset)]
            marks.append({"mark": "gap", "offset": offset, "gap_ms": gap_ms})
    return orjson.dumps(marks).decode()


def gaps_of(time_line: str, raw: RawAudio) -> dict[int, int]:
    """Return the size in bytes of the silence of each gap, by its offset."""
    return {
        each["offset"]: raw.bytes_of(each["gap_ms"])
        for each in marks_of(time_line)
        if each["mark"] == "gap"
    }


def has_mask(time_line: str) -> bool:
    """Return whether anything was masked."""
    return any(each["mark"] == "pause" for each in marks_of(time_line))


def layout(time_line: str, size_bytes: int, raw: RawAudio) -> list[Span]:
    """Return the audio of a recording: stored ranges without the skipped ones, and gaps.

    Every span consists of whole frames; an incomplete frame at the end is left out.
    """
    return [
        each
        for each in _spans(marks_of(time_line), raw.whole(size_bytes), raw)
        if each.size_bytes > 0
    ]


def _spans(marks: list[dict[str, Any]], end: int, raw: RawAudio) -> Iterator[Span]:
    at = 0
    skips = False
    for mark in marks:
        offset = min(mark["offset"], end)
        if mark["mark"] == "gap":
            if not skips:
                yield Stored(at, max(at, raw.whole(offset)))
                at = max(at, raw.whole(offset))
                yield Silence(raw.bytes_of(mark["gap_ms"]))
        elif skips:
            # What is left out consists of whole frames: the rest of a mask is stored silence.
            at = max(at, raw.whole(offset))
            skips = mark.get("mode") == PauseMode.SKIP
        elif mark.get("mode") == PauseMode.SKIP:
            begin = max(at, min(raw.whole(offset + raw.frame_bytes - 1), end))
            yield Stored(at, begin)
            at, skips = begin, True
    if not skips:
        yield Stored(at, end)


def public_time_line(time_line: str, raw: RawAudio) -> list[Mapping[str, Any]]:
    """Return the time line as the document of the recording has it, with received times."""
    return [{**each, "offset_ms": raw.duration_ms(each["offset"])} for each in marks_of(time_line)]
