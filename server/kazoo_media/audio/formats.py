"""The audio formats that the service knows by name."""

from __future__ import annotations

import enum


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
    FLAC = ("FLAC", "audio/flac", ("audio/x-flac",), "flac", "flac")
    AMR = ("AMR", "audio/amr", ("audio/amr-nb",), "amr", "amr-nb")
    AMR_WB = ("AMR-WB", "audio/amr-wb", (), "awb", None)
    AU = ("AU", "audio/basic", ("audio/au", "audio/x-au"), "au", "au")
    PCMA = ("raw A-law", "audio/PCMA", ("audio/x-alaw",), "al", "al")
    PCMU = ("raw mu-law", "audio/PCMU", ("audio/x-mulaw",), "ul", "ul")
    GSM = ("raw GSM", "audio/gsm", ("audio/x-gsm",), "gsm", "gsm")
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

UNTYPED = ("application/octet-stream", "binary/octet-stream")
"""Content types that say nothing. Object stores send the second one."""

_BY_CONTENT_TYPE = _by_content_type()

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
    return known.extension if known else None


def essence(content_type: str) -> str:
    """Return a MIME type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
