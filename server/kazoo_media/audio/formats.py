"""The audio formats that the service knows by name."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping


class AudioFormat(enum.Enum):
    """One format: a container and, if it matters, the encoding in it.

    Attributes:
        title: Name for people.
        content_type: The service's name for it.
        aliases: Other content types with the same meaning, lower case.
        extension: File name extension without the dot.
        sox_type: Value of sox's `-t`; None if sox cannot read it.
    """

    WAV = (
        "WAV",
        "audio/x-wav",
        (
            *("audio/wav", "audio/wave", "audio/vnd.wave", "audio/x-wave", "audio/x-pn-wav"),
            *("application/x-wav", "application/wav"),
        ),
        "wav",
        "wav",
    )
    MP3 = (
        "MP3",
        "audio/mpeg",
        (
            *("audio/mp3", "audio/mpeg3", "audio/x-mpeg", "audio/x-mp3", "audio/x-mpeg-3"),
            *("audio/mpg", "audio/x-mpg", "audio/x-mpeg3"),
        ),
        "mp3",
        "mp3",
    )
    # RFC 5334 requires audio/ogg for all audio in Ogg, so Vorbis and Opus share it. The one that
    # sox reads comes first: the bare type means it until the bytes prove otherwise.
    OGG = (
        "Ogg Vorbis",
        "audio/ogg",
        ("application/ogg", "audio/vorbis", "audio/x-ogg"),
        "ogg",
        "ogg",
    )
    OPUS = ("Ogg Opus", "audio/ogg", ("audio/opus",), "opus", None)
    OGG_FLAC = ("Ogg FLAC", "audio/ogg", (), "oga", None)
    FLAC = ("FLAC", "audio/flac", ("audio/x-flac",), "flac", "flac")
    AMR = ("AMR", "audio/amr", ("audio/amr-nb",), "amr", "amr-nb")
    AMR_WB = ("AMR-WB", "audio/amr-wb", (), "awb", None)
    AU = ("AU", "audio/basic", ("audio/au", "audio/x-au"), "au", "au")
    AIFF = ("AIFF", "audio/aiff", ("audio/x-aiff", "audio/aifc"), "aiff", "aiff")
    CAF = ("CAF", "audio/x-caf", ("audio/caf",), "caf", None)
    WAVE64 = ("Wave64", "audio/x-w64", ("audio/w64",), "w64", None)
    PCMA = ("raw A-law", "audio/PCMA", ("audio/x-alaw",), "al", "al")
    PCMU = ("raw mu-law", "audio/PCMU", ("audio/x-mulaw",), "ul", "ul")
    GSM = ("raw GSM", "audio/gsm", ("audio/x-gsm",), "gsm", "gsm")
    G722 = ("raw G.722", "audio/g722", ("audio/x-g722",), "g722", None)
    # Their types have the sample rate as a parameter: see `inspect/raw_pcm.py`.
    L16 = ("raw 16-bit PCM", "audio/l16", (), "l16", None)
    SLN = ("signed linear", "audio/x-sln", ("audio/sln",), "sln", None)
    M4A = ("M4A", "audio/mp4", ("audio/x-m4a", "audio/m4a"), "m4a", None)
    AAC = ("AAC", "audio/aac", ("audio/x-aac", "audio/aacp"), "aac", None)
    WMA = ("Windows Media", "audio/x-ms-wma", ("video/x-ms-asf",), "wma", None)
    WEBM = ("WebM", "video/webm", ("audio/webm",), "webm", None)
    MP4 = ("MP4", "video/mp4", (), "mp4", None)
    THREE_GP = ("3GPP", "audio/3gpp", ("video/3gpp",), "3gp", None)
    THREE_GP2 = ("3GPP2", "audio/3gpp2", ("video/3gpp2",), "3g2", None)
    QUICKTIME = ("QuickTime", "video/quicktime", (), "mov", None)
    FLV = ("Flash video", "video/x-flv", (), "flv", None)
    MPEG = ("MPEG video", "video/mpeg", (), "mpg", None)
    H264 = ("H.264 video", "video/h264", (), "h264", None)

    def __init__(
        self,
        title: str,
        content_type: str,
        aliases: tuple[str, ...],
        extension: str,
        sox_type: str | None,
    ) -> None:
        self.title = title
        self.content_type = content_type
        self.aliases = aliases
        self.extension = extension
        self.sox_type = sox_type


def _by_content_type() -> dict[str, AudioFormat]:
    table: dict[str, AudioFormat] = {}
    for each in AudioFormat:
        for content_type in (each.content_type, *each.aliases):
            table.setdefault(content_type.lower(), each)
    return table


MP4_FAMILY = frozenset(
    {
        AudioFormat.M4A,
        AudioFormat.MP4,
        AudioFormat.THREE_GP,
        AudioFormat.THREE_GP2,
        AudioFormat.QUICKTIME,
    }
)
"""Formats whose files consist of the same boxes."""

BARE_FRAMES = frozenset({AudioFormat.MP3, AudioFormat.AAC})
"""Formats without a container: frames that begin with a sync."""

RAW = frozenset(
    {
        AudioFormat.PCMA,
        AudioFormat.PCMU,
        AudioFormat.GSM,
        AudioFormat.G722,
        AudioFormat.L16,
        AudioFormat.SLN,
    }
)
"""Formats without magic: only a type or file name identifies them."""

SLN_RATES: Mapping[str, int] = {
    "sln": 8000,
    "sln12": 12_000,
    "sln16": 16_000,
    "sln24": 24_000,
    "sln32": 32_000,
    "sln44": 44_100,
    "sln48": 48_000,
    "sln96": 96_000,
    "sln192": 192_000,
}
"""Sample rates by the file name extensions of Asterisk's signed linear audio."""

UNTYPED = ("application/octet-stream", "binary/octet-stream")
"""Content types that say nothing. Object stores send the second one."""

_BY_CONTENT_TYPE = _by_content_type()
_RAW_BY_EXTENSION = {each.extension: each.content_type for each in RAW} | {
    extension: f"{AudioFormat.SLN.content_type};rate={rate}"
    for extension, rate in SLN_RATES.items()
}
_COUNT = r'\s*=\s*"?(\d{1,9})"?\s*(?:;|$)'

_KAZOO_TYPES = (
    "audio/mp3",
    "audio/mpeg",
    "audio/mpeg3",
    "audio/x-wav",
    "audio/wav",
    "audio/ogg",
    "video/x-flv",
    "video/h264",
    "video/mpeg",
    "video/quicktime",
    "video/mp4",
    "video/webm",
)

ACCEPTED_TYPES = (*_KAZOO_TYPES, *(t for t in _BY_CONTENT_TYPE if t not in _KAZOO_TYPES))
"""All content types that can be stored, lower case; those of Kazoo's schema first, in its order."""


def format_of(content_type: str) -> AudioFormat | None:
    """Return the format of a content type, whatever its case and parameters; None if unknown."""
    return _BY_CONTENT_TYPE.get(essence(content_type))


def same_format(one: str, other: str) -> bool:
    """Return whether two content types mean the same; unknown ones are compared as text."""
    known = format_of(one)
    if known is None:
        return essence(one) == essence(other)
    return known is format_of(other)


def same_container(one: AudioFormat, other: AudioFormat) -> bool:
    """Return whether two formats share a container in which only a mark tells them apart."""
    return one is other or (one in MP4_FAMILY and other in MP4_FAMILY)


def extension_of(content_type: str) -> str | None:
    """Return the file name extension of a content type, without the dot; None if unknown."""
    known = format_of(content_type)
    if known is AudioFormat.SLN:
        rate = parameter_of(content_type, "rate")
        return next((name for name, each in SLN_RATES.items() if each == rate), known.extension)
    return known.extension if known else None


def raw_type_of_name(file_name: str) -> str:
    """Return the content type of audio without magic that has this file name; "" if unknown."""
    return _RAW_BY_EXTENSION.get(file_name.rpartition(".")[2].lower(), "")


def parameter_of(content_type: str, name: str) -> int | None:
    """Return a numeric parameter of a content type; None if there is none."""
    found = re.search(rf";\s*{name}{_COUNT}", content_type, re.IGNORECASE)
    return int(found[1]) if found else None


def essence(content_type: str) -> str:
    """Return a MIME type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
