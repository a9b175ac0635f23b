"""Recognition of a format by the first bytes of a file."""

from __future__ import annotations

import codecs
import enum
import re
from dataclasses import dataclass

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.mpeg import mpeg_frame, tags_length
from kazoo_media.audio.inspect.wav import begins_wav

SNIFF_BYTES = 512
"""Maximum number of bytes that are examined."""


class Verdict(enum.Enum):
    """The kinds of verdicts."""

    AUDIO = enum.auto()
    NOT_AUDIO = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A verdict and its reason.

    Attributes:
        format: Set for AUDIO.
        label: Set for NOT_AUDIO, with its article: "a PDF document".
    """

    verdict: Verdict
    format: AudioFormat | None = None
    label: str | None = None


_OTHER_FILES = (
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an XZ archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"SQLite format 3\x00", "a database"),
)

_OTHER_RIFF_FILES = {b"WEBP": "a WebP picture", b"AVI ": "an AVI video"}

_MAGIC = (
    (b"fLaC", AudioFormat.FLAC),
    (b"#!AMR\n", AudioFormat.AMR),
    (b"#!AMR-WB\n", AudioFormat.AMR_WB),
    (b".snd", AudioFormat.AU),
    (b"caff\x00\x01", AudioFormat.CAF),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", AudioFormat.WAVE64),
    (b"\x1aE\xdf\xa3", AudioFormat.WEBM),
    (b"FLV\x01", AudioFormat.FLV),
    (b"0&\xb2u\x8ef\xcf\x11", AudioFormat.WMA),
    (b"\x00\x00\x01\xba", AudioFormat.MPEG),
    (b"\x00\x00\x01\xb3", AudioFormat.MPEG),
    (b"\x00\x00\x00\x01\x67", AudioFormat.H264),
    (b"\x00\x00\x00\x01\x27", AudioFormat.H264),
)

# Old QuickTime files have no file type box; they begin with any of these.
_OLD_QUICKTIME = re.compile(rb"....(?:moov....mvhd|(?:wide|free|skip)....mdat|mdat)", re.DOTALL)
_MARKUP = re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*["{\[\]0-9tfn-])')
_TEXT_CONTROLS = "\t\n\r\f\x1b\ufeff"
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")
_FEWEST_CHARACTERS = 5  # different ones, in a text
_TS_PACKET_BYTES = 188


def sniff(head: bytes) -> Sniffed:
    """Return the verdict on a file that begins with `head`; only SNIFF_BYTES are examined.

    ID3v2 tags at the start are skipped. Only if nothing known follows, they prove an MP3. Raw
    formats (mu-law, A-law, GSM) have no magic: they are UNKNOWN.
    """
    if tags := tags_length(head):
        found = _untagged(head[tags : tags + SNIFF_BYTES])
        is_known = found.verdict is not Verdict.UNKNOWN
        return found if is_known else Sniffed(Verdict.AUDIO, format=AudioFormat.MP3)
    return _untagged(head[:SNIFF_BYTES])


def _untagged(head: bytes) -> Sniffed:
    found = _audio_format(head)
    if found is not None:
        return Sniffed(Verdict.AUDIO, format=found)
    label = _other_label(head)
    if label is not None:
        return Sniffed(Verdict.NOT_AUDIO, label=label)
    return Sniffed(Verdict.UNKNOWN)


def _audio_format(head: bytes) -> AudioFormat | None:
    for magic, known in _MAGIC:
        if head.startswith(magic):
            return known
    if begins_wav(head):
        return AudioFormat.WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AudioFormat.AIFF
    if head.startswith(b"OggS"):
        return _ogg_format(head)
    if len(head) > _TS_PACKET_BYTES and set(head[::_TS_PACKET_BYTES]) == {0x47}:
        return AudioFormat.MPEG
    return _mp4_format(head) or _mpeg_audio_format(head)


def _ogg_format(head: bytes) -> AudioFormat | None:
    """Return the format by the first packet; Speex, Theora and others are unknown."""
    first_packet = head[27 + head[26] :] if len(head) > 27 else b""
    if first_packet.startswith(b"OpusHead"):
        return AudioFormat.OPUS
    if first_packet.startswith(b"\x7fFLAC"):
        return AudioFormat.OGG_FLAC
    return AudioFormat.OGG if first_packet.startswith(b"\x01vorbis") else None


def _mp4_format(head: bytes) -> AudioFormat | None:
    if head[4:8] != b"ftyp":
        return AudioFormat.QUICKTIME if _OLD_QUICKTIME.match(head) else None
    brand = head[8:12]
    if brand in (b"M4A ", b"M4B ", b"M4P "):
        return AudioFormat.M4A
    if brand.startswith((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg")):
        return AudioFormat.THREE_GP
    if brand.startswith(b"3g2"):
        return AudioFormat.THREE_GP2
    if brand == b"qt  ":
        return AudioFormat.QUICKTIME
    # Pictures have the same container.
    return None if brand in (b"heic", b"heix", b"avif", b"mif1", b"msf1") else AudioFormat.MP4


def _mpeg_audio_format(head: bytes) -> AudioFormat | None:
    """Return MP3 or AAC by a frame sync and, if it is within the head, the next one."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return AudioFormat.AAC if _is_adts(head) else None
    frame = mpeg_frame(head[1], head[2])
    if frame is None or frame.layer == 1 or head[3] & 3 == 2:  # 2: a reserved emphasis
        return None
    following = head[frame.length_bytes : frame.length_bytes + 3]
    if len(following) < 3:
        return AudioFormat.MP3
    second = mpeg_frame(following[1], following[2]) if following[0] == 0xFF else None
    return AudioFormat.MP3 if second is not None and second.stream == frame.stream else None


def _is_adts(head: bytes) -> bool:
    """Return whether two ADTS headers are consecutive. Source: ISO/IEC 14496-3, 1.A.2.2.1."""
    if len(head) < 7 or head[2] >> 2 & 15 > 12:
        return False
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    following = head[length : length + 2]
    return length > 7 and following in (head[:2], b"")


def _other_label(head: bytes) -> str | None:
    for magic, label in _OTHER_FILES:
        if head.startswith(magic):
            return label
    if head[:4] == b"RIFF" and head[8:12] in _OTHER_RIFF_FILES:
        return _OTHER_RIFF_FILES[head[8:12]]
    if head[4:8] == b"ftyp" and _mp4_format(head) is None:
        return "a HEIF picture"
    if head[:2] == b"MZ" and b"\x00" in head[2:64]:
        return "a program"
    return _text_label(head)


def _text_label(head: bytes) -> str | None:
    """Return a label if the whole head is printable text, perhaps cut within a character."""
    if _MARKUP.match(head):
        return "HTML"
    text = _printable(head)
    if not text:
        return None
    if _XML.match(head):
        return "XML"
    if _JSON.match(head):
        return "JSON"
    # A quiet line is `UUUTUU` in A-law and `~~~~` in mu-law: only words count as text.
    has_words = re.search(r"\s", text) and re.search(r"\w", text)
    return "plain text" if has_words and len(set(text)) >= _FEWEST_CHARACTERS else None


def _printable(head: bytes) -> str | None:
    if not _CONTROLS.isdisjoint(head):
        return None
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in _TEXT_CONTROLS for each in text) else None
