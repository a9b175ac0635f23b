"""Duration of audio in Ogg."""

from __future__ import annotations

import struct

from typing_extensions import override

from kazoo_media.audio.inspect.walker import Walker
from kazoo_media.model import AudioFacts

_LEAST_LEFT_OUT_BYTES = 8


class OggWalker(Walker):
    """Counts Vorbis, Opus or FLAC by the granule positions of the pages; chained streams add up.

    Source: RFC 3533, 6; RFC 7845, 4; Vorbis I, 4.2.2 and A.2; RFC 9639, 10.1.
    """

    _HEADER = struct.Struct("<4sBBqIIIB")
    _HEAD_BYTES = 35  # the rate of FLAC comes last
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
        self._left_out_bytes = 0  # after the last page

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
        left_out = self._foreign_bytes
        if left_out >= _LEAST_LEFT_OUT_BYTES:
            return (f"{left_out} bytes after the end of the Ogg were left out",)
        if self._rate is None or self._ended or self.is_truncated():
            return ()
        return ("the last page of the Ogg is not marked as the last: perhaps audio is missing",)

    @property
    def _foreign_bytes(self) -> int:
        """Return how many bytes that are no pages follow the last page."""
        return self._left_out_bytes + len(self._rest) if self._ended else 0

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
                after = found if found >= 0 else len(data) - 4
                self._left_out_bytes += after - at if self._ended else 0
                at = after
                continue
            segments_end = at + self._HEADER.size + data[at + 26]
            if segments_end > len(data):
                break
            body_bytes = sum(data[at + self._HEADER.size : segments_end])
            _, _, flags, granule, serial, _, _, _ = self._HEADER.unpack_from(data, at)
            if flags & 2:
                enough = min(body_bytes, self._HEAD_BYTES)
                head = data[segments_end : segments_end + enough]
                if len(head) < enough:
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
        elif head.startswith(b"\x7fFLAC") and len(head) >= self._HEAD_BYTES:
            packed = int.from_bytes(head[27:35], "big")
            rate, channels = packed >> 44, (packed >> 41 & 7) + 1
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
