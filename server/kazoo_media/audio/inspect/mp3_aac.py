"""Counting of frames without a container: mp3 and ADTS AAC.

Such a file declares no length; its frames are its length. Bytes between or after the frames that
are not a tag are damaged audio.
"""

from __future__ import annotations

import re
import struct

from typing_extensions import override

from kazoo_media.audio.inspect.mpeg import POSSIBLE_FRAME, MpegFrame, id3_length, mpeg_frame
from kazoo_media.audio.inspect.ogg_amr import Walker
from kazoo_media.model import AudioFacts

_TAG_HEADER_BYTES = 32
_ID3V1_BYTES = 128


class FrameWalker(Walker):
    """Counts the frames that subclasses find."""

    def __init__(self) -> None:
        super().__init__()
        self._rate: int | None = None
        self._channel_count: int | None = None
        self._declared_samples: int | None = None
        self._samples = 0
        self._frame_bytes = 0
        self._lost_bytes = 0
        self._padding_samples = 0

    @override
    def _counted(self) -> AudioFacts:
        if not self._rate:
            return AudioFacts()
        return AudioFacts(self._ms(self._samples), self._rate, self._channel_count)

    @override
    def declared_ms(self) -> int | None:
        """Return the length from a tag, or the length if all bytes were frames."""
        if not self._rate or not self._frame_bytes:
            return None
        whole = self._samples * (1 + self._lost_bytes / self._frame_bytes)
        return self._ms(max(whole, self._declared_samples or 0))

    @override
    def padding_ms(self) -> int:
        return self._ms(self._padding_samples)

    def _ms(self, samples: float) -> int:
        return round(samples * 1000 / self._rate) if self._rate else 0


class Mp3Walker(FrameWalker):
    """Counts MPEG audio frames, layers II and III."""

    def __init__(self) -> None:
        super().__init__()
        self._tag_passed = False
        self._in_step = False
        self._first: MpegFrame | None = None

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        if not self._tag_passed:
            if len(data) < 10:
                return 0
            self._tag_passed = True
            at = id3_length(data)
        while at + 3 <= len(data) and not self._gave_up:
            if self._in_step:
                at = self._march(data, at)
            elif (tag_bytes := _tag_length(data, at)) is not None:
                if not tag_bytes:
                    break
                at += tag_bytes
            else:
                found = self._search(data, at)
                self._lost_bytes += found - at
                at = found
                if not self._in_step:
                    break
        return at

    def _march(self, data: bytes, at: int) -> int:
        """Walk from frame to frame up to the end of the data or of the frames."""
        first, last, samples, start = self._first, len(data) - 3, 0, at
        while at <= last:
            frame = mpeg_frame(data[at + 1], data[at + 2]) if data[at] == 0xFF else None
            if frame is None or first is None or frame.stream != first.stream:
                self._in_step = False
                break
            samples += frame.samples
            at += frame.length_bytes
        self._samples += samples
        self._frame_bytes += at - start
        return at

    def _search(self, data: bytes, at: int) -> int:
        """Search two consecutive frames and synchronise; otherwise return where to continue."""
        while (match := POSSIBLE_FRAME.search(data, at)) is not None and not self._gave_up:
            at = match.start()
            frame = mpeg_frame(data[at + 1], data[at + 2])
            if frame is not None and (self._first is None or frame.stream == self._first.stream):
                following = data[at + frame.length_bytes : at + frame.length_bytes + 3]
                if len(following) < 3:
                    return at
                second = mpeg_frame(following[1], following[2]) if following[0] == 0xFF else None
                if second is not None and second.stream == frame.stream:
                    self._in_step = True
                    self._begin(frame, data[at : at + frame.length_bytes])
                    return at
            self._errors += 1
            at += 1
        return max(at, len(data) - 2)

    def _begin(self, frame: MpegFrame, body: bytes) -> None:
        if self._first is None:
            self._first, self._rate = frame, frame.sample_rate_hertz
            self._channel_count = 1 if body[3] >> 6 == 3 else 2
            frames = _frames_by_tag(body)
            self._declared_samples = None if frames is None else frames * frame.samples
            if _has_tag(body):
                self._samples -= frame.samples  # the march will count it
                self._padding_samples = _padding_by_tag(body)


def _tag_length(data: bytes, at: int) -> int | None:
    """Return the size of the tag there, 0 if more bytes are needed, None if there is no tag.

    Source: id3.org, ID3v1 and ID3v2; wiki.hydrogenaud.io, APEv2 specification.
    """
    start = data[at : at + 3]
    if start not in (b"ID3", b"TAG", b"APE"):
        return None
    if len(data) < at + _TAG_HEADER_BYTES:
        return 0
    if start == b"ID3":
        return id3_length(data[at : at + 10])
    if start == b"TAG":
        return _ID3V1_BYTES
    if data[at : at + 8] != b"APETAGEX":
        return None
    return _TAG_HEADER_BYTES + int.from_bytes(data[at + 12 : at + 16], "little")


def _has_tag(body: bytes) -> bool:
    """Return whether the first frame has a tag instead of audio."""
    return re.search(rb"Xing|Info", body[:44]) is not None or body[36:40] == b"VBRI"


def _padding_by_tag(body: bytes) -> int:
    """Return the samples that the encoder added at both ends, by a LAME tag.

    Source: gabriel.mp3-tech.org, Mp3 Info Tag revision 1.
    """
    found = re.search(rb"Xing|Info", body[:44])
    if found is None or body[found.end() + 3] & 15 != 15:
        return 0
    packed = int.from_bytes(body[found.start() + 141 : found.start() + 144], "big")
    return (packed >> 12) + (packed & 0xFFF)


def _frames_by_tag(body: bytes) -> int | None:
    """Return the number of frames by the Xing, Info or VBRI tag of the first frame."""
    found = re.search(rb"Xing|Info", body[:44])
    if found is not None:
        flags_at = found.end()
        if len(body) >= flags_at + 8 and body[flags_at + 3] & 1:
            return int(struct.unpack_from(">I", body, flags_at + 4)[0])
    if body[36:40] == b"VBRI" and len(body) >= 54:
        return int(struct.unpack_from(">I", body, 50)[0])
    return None


class AacWalker(FrameWalker):
    """Counts ADTS frames; searches the next frame after damaged bytes.

    Source: ISO/IEC 14496-3, 1.A.2.2 and table 1.18.
    """

    _SYNC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
    _RATES = (96, 88.2, 64, 48, 44.1, 32, 24, 22.05, 16, 12, 11.025, 8, 7.35)  # kHz

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        while at + 7 <= len(data) and not self._gave_up:
            length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            rate = data[at + 2] >> 2 & 15
            if self._SYNC.match(data, at) and length >= 7 and rate < len(self._RATES):
                self._rate = self._rate or round(self._RATES[rate] * 1000)
                self._channel_count = self._channel_count or (
                    (data[at + 2] & 1) << 2 | data[at + 3] >> 6
                )
                self._samples += ((data[at + 6] & 3) + 1) * 1024
                self._frame_bytes += length
                at += length
                continue
            if (tag_bytes := _tag_length(data, at)) is not None:
                if not tag_bytes:
                    break
                at += tag_bytes
                continue
            self._errors += 1
            match = self._SYNC.search(data, at + 1)
            found = match.start() if match else len(data) - 1
            self._lost_bytes += found - at
            at = found
        return at
