"""Counting of framed audio: Ogg and AMR; `mp3_aac.py` has mp3 and AAC.

Theory of operation. A walker is at an offset of the stream where a frame or page should begin.

1. It reads the header there and skips the length in that header, often far beyond the present
   chunk: `_skip` has the distance. It does not read the bytes between headers.
2. Bytes that cannot be judged before more arrive are kept in `_rest`, a few KiB at most.
3. If there is no header, it searches the next one at C speed. Hostile bytes make it search often,
   so it gives up after _MOST_ERRORS false hits: from then on nothing is known.
"""

from __future__ import annotations

import re
import struct
from abc import abstractmethod

from typing_extensions import override

from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.model import AudioFacts

_MOST_ERRORS = 10_000


class Walker(Gauge):
    """Walks from header to header."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._errors = 0

    @override
    def feed(self, chunk: bytes) -> None:
        if self._gave_up:
            return
        if self._skip >= len(chunk):
            self._skip -= len(chunk)
            return
        data = self._rest + chunk[self._skip :] if self._rest or self._skip else chunk
        at = self._walk(data)
        self._skip = max(0, at - len(data))
        self._rest = data[at:]

    @override
    def facts(self) -> AudioFacts:
        return AudioFacts() if self._gave_up else self._counted()

    @override
    def is_truncated(self) -> bool:
        return self._skip > 0 and not self._gave_up

    def _give_up(self) -> None:
        self._errors = _MOST_ERRORS + 1

    @property
    def _gave_up(self) -> bool:
        return self._errors > _MOST_ERRORS

    @abstractmethod
    def _walk(self, data: bytes) -> int:
        """Walk over `data` and return where to continue, which may be after its end."""

    @abstractmethod
    def _counted(self) -> AudioFacts:
        """Return the counted audio."""


class OggWalker(Walker):
    """Counts Vorbis or Opus in Ogg by the granule positions of the pages; chained streams add up.

    Source: RFC 3533, 6; RFC 7845, 4; Vorbis I, 4.2.2 and A.2.
    """

    _HEADER = struct.Struct("<4sBBqIIIB")
    _OPUS_RATE = 48_000
    _MOST_PAGE_SAMPLES = 255 * 8192  # a stream that starts later was cut out of a longer one

    def __init__(self) -> None:
        super().__init__()
        self._serial: int | None = None
        self._ended = False
        self._rate: int | None = None
        self._channel_count: int | None = None
        self._start: int | None = None
        self._granule = 0
        self._earlier_ms = 0.0
        self._changes = False

    @override
    def changes_format(self) -> bool:
        return self._changes

    @override
    def _counted(self) -> AudioFacts:
        if self._rate is None:
            return AudioFacts()
        return AudioFacts(
            round(self._earlier_ms + self._link_ms()), self._rate, self._channel_count
        )

    @override
    def is_truncated(self) -> bool:
        ends_in_header = not self._ended and len(self._rest) > 0
        return super().is_truncated() or (self._rate is not None and ends_in_header)

    @override
    def warnings(self) -> tuple[str, ...]:
        if self._rate is None or self._ended or self.is_truncated():
            return ()
        return ("the last page of the Ogg is not marked as the last: perhaps audio is missing",)

    def _link_ms(self) -> float:
        if self._rate is None or self._start is None:
            return 0.0
        return max(0, self._granule - self._start) * 1000 / self._rate

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        while at + self._HEADER.size <= len(data) and not self._gave_up:
            if not data.startswith(b"OggS\x00", at):
                found = data.find(b"OggS\x00", at)
                at = found if found >= 0 else len(data) - 4
                continue
            segments_end = at + self._HEADER.size + data[at + 26]
            if segments_end > len(data):
                break
            body_bytes = sum(data[at + self._HEADER.size : segments_end])
            _, _, flags, granule, serial, _, _, _ = self._HEADER.unpack_from(data, at)
            if flags & 2:
                head = data[segments_end : segments_end + min(body_bytes, 19)]
                if len(head) < min(body_bytes, 19):
                    break
                self._begin(serial, head)
            elif serial == self._serial:
                self._page(granule)
            if serial == self._serial and flags & 4:
                self._ended = True
            at = segments_end + body_bytes
        return at

    def _begin(self, serial: int, head: bytes) -> None:
        """Start to count an audio stream; parallel streams are ignored."""
        rate: int | None = None
        start: int | None = None
        if head.startswith(b"\x01vorbis") and len(head) >= 16:
            channels, rate = struct.unpack_from("<BI", head, 11)
        elif head.startswith(b"OpusHead") and len(head) >= 12:
            channels, start = struct.unpack_from("<BH", head, 9)
            rate = self._OPUS_RATE
        else:
            return
        # All streams that run beside each other begin before the first audio.
        is_beside = self._serial is not None and not self._ended and not self._granule
        if not rate or is_beside:
            return
        if self._rate is not None:
            self._changes |= (rate, channels) != (self._rate, self._channel_count)
        self._earlier_ms += self._link_ms()
        self._serial, self._ended, self._granule = serial, False, 0
        self._rate, self._channel_count, self._start = rate, channels, start

    def _page(self, granule: int) -> None:
        if granule <= 0:  # headers; -1: no packet ends on this page
            return
        if self._granule == 0 and granule > self._MOST_PAGE_SAMPLES:
            self._start = granule
        elif self._start is None:
            self._start = 0
        self._granule = max(self._granule, granule)


class AmrWalker(Walker):
    """Counts AMR narrow-band frames of 20 ms. Source: RFC 4867, 5."""

    _MAGIC = b"#!AMR\n"
    _RATE = 8000
    _LENGTHS: tuple[int, ...] = (13, 14, 16, 18, 20, 21, 27, 32, 6)  # by frame type; 9 to 14: none
    _NO_DATA = re.compile(b"[\x78-\x7f\xf8-\xff]+")

    def __init__(self) -> None:
        super().__init__()
        self._magic_passed = False
        self._frames = 0

    @override
    def _counted(self) -> AudioFacts:
        return AudioFacts(self._frames * 20, self._RATE, 1) if self._magic_passed else AudioFacts()

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        if not self._magic_passed:
            if len(data) < len(self._MAGIC):
                return 0
            if not data.startswith(self._MAGIC):
                self._give_up()
                return len(data)
            self._magic_passed, at = True, len(self._MAGIC)
        while at < len(data):
            kind = data[at] >> 3 & 15
            if kind < len(self._LENGTHS):
                self._frames += 1
                at += self._LENGTHS[kind]
            elif (silence := self._NO_DATA.match(data, at)) is not None:
                self._frames += silence.end() - at
                at = silence.end()
            else:
                self._give_up()
                return len(data)
        return at


class AmrWideWalker(AmrWalker):
    """Counts AMR wide-band frames, also of 20 ms."""

    _MAGIC = b"#!AMR-WB\n"
    _RATE = 16_000
    _LENGTHS = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)
