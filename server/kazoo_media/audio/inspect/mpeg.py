"""MPEG audio frame headers."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_MPEG1_KBPS = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_KBPS = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG1_RATES = (44100, 48000, 32000)
_MOST_TAGS = 8  # hostile bytes may hold thousands
_RATE_DIVISORS = {0: 4, 2: 2, 3: 1}  # version bits: MPEG 2.5, 2, 1

POSSIBLE_FRAME = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xeb\xec-\xef]", re.DOTALL)
"""Finds most frame headers, and few other bytes, at C speed."""


@dataclass(frozen=True, slots=True)
class MpegFrame:
    """A parsed frame header.

    Attributes:
        stream: Version and layer bits and the rate: the same in all frames of one stream.
        length_bytes: Length of the frame including the header.
        samples: Samples per channel.
    """

    stream: tuple[int, int]
    layer: int
    sample_rate_hertz: int
    length_bytes: int
    samples: int


@functools.cache
def mpeg_frame(second: int, third: int) -> MpegFrame | None:
    """Return the frame whose header is 0xff and these two bytes, or None if they are invalid.

    Free-format streams are not recognised: without a bit rate the length of a frame is unknown.

    Source: ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3; 13818-3, 2.4.2.3; MPEG 2.5 by custom.
    """
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    rate_index, kbps_index = third >> 2 & 3, third >> 4
    if second < 0xE0 or version == 1 or layer == 4 or rate_index == 3:
        return None
    if kbps_index in (0, 15):
        return None
    rate = _MPEG1_RATES[rate_index] // _RATE_DIVISORS[version]
    bits = (_MPEG1_KBPS if version == 3 else _MPEG2_KBPS)[layer][kbps_index - 1] * 1000
    padding = third >> 1 & 1
    if layer == 1:
        return MpegFrame((second & 0xFE, rate), layer, rate, (12 * bits // rate + padding) * 4, 384)
    samples = 576 if layer == 3 and version != 3 else 1152
    length = samples // 8 * bits // rate + padding
    return MpegFrame((second & 0xFE, rate), layer, rate, length, samples)


def id3_length(data: bytes) -> int:
    """Return the size of the ID3v2 tag at the start, 0 if there is none. Source: id3.org, 3.1."""
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    return size + (20 if data[5] & 0x10 else 10)


def tags_length(data: bytes | bytearray) -> int:
    """Return the size of all ID3v2 tags at the start; it may exceed that of the data."""
    at = 0
    for _ in range(_MOST_TAGS):
        length = id3_length(bytes(data[at : at + 10]))
        if not length:
            break
        at += length
    return at
