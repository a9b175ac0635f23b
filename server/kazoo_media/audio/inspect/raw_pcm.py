"""Raw 16-bit PCM, whose type has the sample rate: L16 and Asterisk's signed linear.

Converters and meters get it with a WAV header before it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kazoo_media.audio.formats import AudioFormat, essence, format_of, parameter_of
from kazoo_media.audio.inspect.plausibility import implausible
from kazoo_media.audio.inspect.wav import plain_head

_UNKNOWN_SIZE = 0xFFFFFFFF
_SLN_RATE = 8000


@dataclass(frozen=True, slots=True)
class RawPcm:
    """A kind of raw 16-bit PCM.

    Attributes:
        content_type: Its type with all parameters that differ from their defaults, and the rate.
        wav_head: The header of a WAV that streams these samples.
    """

    content_type: str
    wav_head: bytes


def raw_pcm(content_type: str) -> RawPcm | None:
    """Return the raw PCM of a content type; None if it has another format.

    Raises:
        ValueError: a parameter is missing or not supported.

    Source: RFC 2586; Asterisk's formats sln to sln192.
    """
    known = format_of(content_type)
    if known not in (AudioFormat.L16, AudioFormat.SLN):
        return None
    kind = essence(content_type)
    rate, channels = parameter_of(content_type, "rate"), parameter_of(content_type, "channels")
    if rate is None and known is AudioFormat.L16:
        raise ValueError(f"the type needs its sample rate, for example {kind};rate=16000")
    rate, channels = _SLN_RATE if rate is None else rate, 1 if channels is None else channels
    problem = implausible(rate, channels)
    if problem is not None:
        raise ValueError(problem)
    more = f";channels={channels}" if channels > 1 else ""
    head = _wav_head("<" if known is AudioFormat.SLN else ">", rate, channels)
    return RawPcm(f"{kind};rate={rate}{more}", head)


def _wav_head(order: str, rate: int, channels: int) -> bytes:
    width = 2 * channels
    fmt = struct.pack(order + "HHIIHH", 1, channels, rate, rate * width, width, 16)
    return plain_head(fmt, order, _UNKNOWN_SIZE)
