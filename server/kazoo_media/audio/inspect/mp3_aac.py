"""Counting of frames without a container: mp3 and ADTS AAC.

Such a file declares no length; its frames are its length. Bytes between or after the frames that
are not a tag are damaged audio.
"""

from __future__ import annotations

import re
import struct

from typing_extensions import override

from kazoo_media.audio.inspect.mpeg import POSSIBLE_FRAME, MpegFrame, id3_length, mpeg_frame
from kazoo_media.audio.inspect.walker import Walker
from kazoo_media.model import AudioFacts

_TAG_HEADER_BYTES = 32
_ID3V1_BYTES = 128
_MONO = 0xC0  # and more: the mode in the fourth byte of a frame


class FrameWalker(Walker):
    """Counts the frames that subclasses find, each at the rate of its stream."""

    def __init__(self) -> None:
        super().__init__()
        self._rate: int | None = None  # of the first stream, like the channels
        self._channel_count: int | None = None
        self._changes = False
        self._current_rate = 0
        self._samples = 0  # of the current stream
        self._earlier_ms = 0.0
        self._declared_ms = 0.0
        self._padding_ms = 0.0
        self._frame_bytes = 0
        self._lost_bytes = 0

    @override
    def _counted(self) -> AudioFacts:
        if not self._rate:
            return AudioFacts()
        return AudioFacts(round(self._counted_ms()), self._rate, self._channel_count)

    @override
    def declared_ms(self) -> int | None:
        """Return the length from a tag, or the length if all bytes were frames."""
        if not self._rate or not self._frame_bytes:
            return None
        whole_ms = self._counted_ms() * (1 + self._lost_bytes / self._frame_bytes)
        return round(max(whole_ms, self._declared_ms))

    @override
    def padding_ms(self) -> int:
        return round(self._padding_ms)

    @override
    def changes_format(self) -> bool:
        return self._changes

    def _begin_stream(self, rate: int, channel_count: int) -> None:
        """Count what follows at this rate."""
        if self._rate is None:
            self._rate, self._channel_count = rate, channel_count
        self._changes |= (rate, channel_count) != (self._rate, self._channel_count)
        self._earlier_ms = self._counted_ms()
        self._current_rate, self._samples = rate, 0

    def _counted_ms(self) -> float:
        if not self._current_rate:
            return 0.0
        return self._earlier_ms + self._samples * 1000 / self._current_rate


class Mp3Walker(FrameWalker):
    """Counts MPEG audio frames, layers II and III.

    A file may consist of several streams: recorders and prompt tools join files as bytes.
    """

    _FRAMES_OF_FIRST, _FRAMES_OF_OTHER = 2, 3

    def __init__(self) -> None:
        super().__init__()
        self._tag_passed = False
        self._in_step = False
        self._stream: tuple[int, int] | None = None
        self._is_mono = False

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        if not self._tag_passed:
            if len(data) < 10:
                return 0
            self._tag_passed = True
            at = id3_length(data)
        while at + 4 <= len(data) and not self._gave_up:
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
        """Walk from frame to frame up to the end of the data or of the stream."""
        stream, is_mono, last, samples, start = self._stream, self._is_mono, len(data) - 4, 0, at
        while at <= last:
            frame = mpeg_frame(data[at + 1], data[at + 2]) if data[at] == 0xFF else None
            if frame is None or frame.stream != stream or (data[at + 3] >= _MONO) != is_mono:
                self._in_step = False
                break
            samples += frame.samples
            at += frame.length_bytes
        self._samples += samples
        self._frame_bytes += at - start
        return at

    def _search(self, data: bytes, at: int) -> int:
        """Search consecutive frames and synchronise; otherwise return where to continue.

        A stream that differs from the one before needs more of them.
        """
        while (match := POSSIBLE_FRAME.search(data, at)) is not None and not self._gave_up:
            at = match.start()
            frame = mpeg_frame(data[at + 1], data[at + 2])
            if frame is not None:
                is_consecutive = self._is_consecutive(data, at, frame)
                if is_consecutive is None:
                    return at
                if is_consecutive:
                    self._in_step = True
                    self._begin(frame, data[at : at + frame.length_bytes])
                    return at
            self._errors += 1
            at += 1
        return max(at, len(data) - 3)

    def _is_consecutive(self, data: bytes, at: int, first: MpegFrame) -> bool | None:
        """Return whether frames of one stream begin here; None: more bytes are needed."""
        if len(data) < at + 4:
            return None
        is_mono = data[at + 3] >= _MONO
        is_known = self._stream is None or (first.stream, is_mono) == (self._stream, self._is_mono)
        frame = first
        for _ in range(1, self._FRAMES_OF_FIRST if is_known else self._FRAMES_OF_OTHER):
            at += frame.length_bytes
            following = data[at : at + 4]
            if len(following) < 4:
                return None
            found = mpeg_frame(following[1], following[2]) if following[0] == 0xFF else None
            if found is None or found.stream != first.stream:
                return False
            if (following[3] >= _MONO) != is_mono:
                return False
            frame = found
        return True

    def _begin(self, frame: MpegFrame, body: bytes) -> None:
        is_first, is_mono = self._stream is None, body[3] >= _MONO
        if (frame.stream, is_mono) == (self._stream, self._is_mono):
            return
        self._stream, self._is_mono = frame.stream, is_mono
        self._begin_stream(frame.sample_rate_hertz, 1 if is_mono else 2)
        if not _has_tag(body):
            return
        self._samples -= frame.samples  # the march will count it
        if is_first:
            frame_ms = frame.samples * 1000 / frame.sample_rate_hertz
            self._declared_ms = (_frames_by_tag(body) or 0) * frame_ms
            self._padding_ms = _padding_by_tag(body) * 1000 / frame.sample_rate_hertz


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

    def __init__(self) -> None:
        super().__init__()
        self._stream: tuple[int, int] | None = None

    @override
    def _walk(self, data: bytes) -> int:
        at = 0
        while at + 7 <= len(data) and not self._gave_up:
            length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            rate = data[at + 2] >> 2 & 15
            if self._SYNC.match(data, at) and length >= 7 and rate < len(self._RATES):
                channel_count = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
                stream = rate, channel_count
                if stream != self._stream:
                    self._stream = stream
                    self._begin_stream(round(self._RATES[rate] * 1000), channel_count)
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
