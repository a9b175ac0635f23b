"""Duration of a FLAC: from its header or, if that was written into a pipe, from its last frames."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from typing_extensions import override

from kazoo_media.audio.inspect.gauge import Gauge
from kazoo_media.model import AudioFacts

_MAGIC = b"fLaC"
_HEAD_BYTES = 4 + 4 + 34
_BLOCK_HEAD_BYTES = 4
_MOST_BLOCKS = 1000  # hostile bytes could have one every 4 bytes, and the event loop would wait
_FILE_HEADS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with more metadata, or without
_SEAM_BYTES = 7  # one less than such a head
_MOST_SAMPLES = (1 << 36) - 1  # the header has 36 bits for them
_TAIL_BYTES = 128 * 1024  # two frames of nearly any stream
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_LONGEST_HEADER_BYTES = 16
_LONGEST_OVERHEAD_BYTES = 64  # of a frame whose samples are not compressed
_LEAST_FRAME_BYTES = 10  # of silence
_MOST_CANDIDATES = 500  # the last ones; hostile bytes may hold thousands
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << n for n in range(8)))


class FlacGauge(Gauge):
    """Source: RFC 9639, 8.2 and 9.1."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._block_head = b""  # of the next block of metadata
        self._skip = len(_MAGIC)
        self._is_last = False
        self._blocks = 0
        self._has_frames = False
        self._seam = b""
        self._files = 0

    @override
    def feed(self, chunk: bytes) -> None:
        if not self._has_frames:
            self._pass_metadata(chunk)
        border = self._seam + chunk[:_SEAM_BYTES]
        for part in (border, chunk):
            if _MAGIC in part:
                self._files += sum(part.count(each) for each in _FILE_HEADS)
        self._seam = (self._seam + chunk[-_SEAM_BYTES:])[-_SEAM_BYTES:]
        self._head += chunk[: _HEAD_BYTES - len(self._head)]
        whole = chunk if len(chunk) >= _TAIL_BYTES else self._tail + chunk
        self._tail = whole[-_TAIL_BYTES:]

    def _pass_metadata(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if self._skip:
                step = min(self._skip, len(chunk) - at)
                self._skip -= step
                at += step
                continue
            if self._is_last:
                self._has_frames = True
                return
            self._block_head += chunk[at : at + 1]
            at += 1
            if len(self._block_head) == _BLOCK_HEAD_BYTES:
                self._blocks += 1
                self._is_last = self._block_head[0] >= 0x80 or self._blocks >= _MOST_BLOCKS
                self._skip = int.from_bytes(self._block_head[1:], "big")
                self._block_head = b""

    @override
    def facts(self) -> AudioFacts:
        if len(self._head) < _HEAD_BYTES or not self._head.startswith(_MAGIC):
            return AudioFacts()
        packed = int.from_bytes(self._head[18:26], "big")
        rate, channels, samples = packed >> 44, (packed >> 41 & 7) + 1, packed & _MOST_SAMPLES
        if not rate:
            return AudioFacts()
        if not self._has_frames:
            return AudioFacts(0, rate, channels)
        samples = samples or self._counted() or 0
        return AudioFacts(round(samples * 1000 / rate) if samples else None, rate, channels)

    @override
    def warnings(self) -> tuple[str, ...]:
        if self._files > 1:
            return (f"the input is {self._files} FLAC files in one: only the first was read",)
        if self._is_followed():
            return ("the bytes after the end of the FLAC were left out",)
        return ()

    def _is_followed(self) -> bool:
        """Return whether more follows the last frame than its own bytes; False if unknown."""
        packed = int.from_bytes(self._head[18:26], "big")
        samples, block = packed & _MOST_SAMPLES, int.from_bytes(self._head[10:12], "big")
        channels, sample_bytes = (packed >> 41 & 7) + 1, (packed >> 36 & 31) // 8 + 1
        known = int.from_bytes(self._head[15:18], "big")  # bytes of the longest frame, or 0
        longest = known or block * channels * sample_bytes + _LONGEST_OVERHEAD_BYTES
        if len(self._head) < _HEAD_BYTES or not samples or longest > _TAIL_BYTES:
            return False
        tail = self._tail[-longest:]
        last = (at for at, _, end in _frame_spans(tail, block) if end == samples)
        return all(_crc16(tail[at:]) for at in last)

    @override
    def repaired_head(self) -> bytes | None:
        samples = self._counted() if len(self._head) == _HEAD_BYTES else None
        if samples is None or samples > _MOST_SAMPLES:
            return None
        packed = int.from_bytes(self._head[18:26], "big") & ~_MOST_SAMPLES | samples
        head = self._head[:18] + packed.to_bytes(8, "big") + self._head[26:]
        return None if head == self._head else head

    def _counted(self) -> int | None:
        """Return the number of samples up to the end of the last consecutive frame.

        A frame counts only if it continues its predecessor: any bytes may look like one header.
        """
        block = int.from_bytes(self._head[10:12], "big")
        ends = [(start, end) for _, start, end in _frame_spans(self._tail, block)]
        for (_, end), (start, last_end) in zip(ends[-2::-1], ends[:0:-1], strict=True):
            if end == start:
                return last_end
        return ends[0][1] if len(ends) == 1 and ends[0][0] == 0 else None


def _frame_spans(data: bytes, block: int) -> Iterator[tuple[int, int, int]]:
    """Yield place, first and end sample of everything that looks like a frame header.

    Args:
        data: Any part of a stream.
        block: Samples in each frame except the last, if the stream has fixed blocks.
    """
    for match in deque(_SYNC.finditer(data), maxlen=_MOST_CANDIDATES):
        header = data[match.start() : match.start() + _LONGEST_HEADER_BYTES]
        if len(header) < _LEAST_FRAME_BYTES or header[3] & 1:
            continue
        length = _header_bytes(header)
        if length > len(header) or _crc8(header[:length]):
            continue
        number, size = _coded_number(header), _block_size(header)
        if number is not None and size:
            start = number if header[1] & 1 else number * block
            yield match.start(), start, start + size


def _number_bytes(header: bytes) -> int:
    return max(1, 8 - (header[4] ^ 0xFF).bit_length())


def _coded_number(header: bytes) -> int | None:
    length = _number_bytes(header)
    if length == 1:
        return header[4] if header[4] < 0x80 else None
    number = header[4] & (0x7F >> length)
    for each in header[5 : 4 + length]:
        number = number << 6 | each & 0x3F
    return number if length <= 7 else None


def _block_size(header: bytes) -> int:
    code, at = header[2] >> 4, 4 + _number_bytes(header)
    if code == 6:
        return header[at] + 1
    if code == 7:
        return int.from_bytes(header[at : at + 2], "big") + 1
    return _BLOCK_SIZES[code]


def _header_bytes(header: bytes) -> int:
    """Return the length with the CRC, over all of which the CRC is 0."""
    block = {6: 1, 7: 2}.get(header[2] >> 4, 0)
    rate = {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    return 4 + _number_bytes(header) + block + rate + 1


def _crc8(data: bytes) -> int:
    crc = 0
    for each in data:
        crc = _CRC8[crc ^ each]
    return crc


def _crc16(data: bytes) -> int:
    """Return 0 for a whole frame."""
    crc = 0
    for each in data:
        crc = crc << 8 & 0xFF00 ^ _CRC16[crc >> 8 ^ each]
    return crc


def _crc_of(byte: int, polynomial: int, bits: int) -> int:
    crc = byte << bits - 8
    for _ in range(8):
        crc = crc << 1 ^ polynomial if crc >> bits - 1 else crc << 1
    return crc


_CRC8 = bytes(_crc_of(byte, 0x107, 8) for byte in range(256))
_CRC16 = [_crc_of(byte, 0x18005, 16) for byte in range(256)]
