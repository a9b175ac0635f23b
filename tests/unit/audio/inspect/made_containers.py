"""One audio in every container that ffmpeg reads for the service."""

from __future__ import annotations

from functools import cache

from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import contained, tone

SECONDS = 10.0
FREQUENCY_HERTZ = 700.0

_FRONT = ("-c:a", "aac", "-movflags", "+faststart")
_PIECES = ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov")
_VIDEO = ("-f", "lavfi", "-i", "testsrc=d=9:s=64x64", "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4")

CONTAINERS: dict[str, tuple[AudioFormat, str, tuple[str, ...]]] = {
    "m4a": (AudioFormat.M4A, "a.m4a", ("-c:a", "aac")),
    "m4a, index first": (AudioFormat.M4A, "a.m4a", _FRONT),
    "m4a, lossless": (AudioFormat.M4A, "a.m4a", ("-c:a", "alac")),
    "mp4, index first": (AudioFormat.MP4, "a.mp4", _FRONT),
    "mp4, fragments": (AudioFormat.MP4, "a.mp4", _PIECES),
    "mp4, video": (AudioFormat.MP4, "a.mp4", (*_VIDEO, "-c:a", "aac")),
    "mov": (AudioFormat.QUICKTIME, "a.mov", ("-c:a", "aac")),
    "3gp": (AudioFormat.THREE_GP, "a.3gp", ("-c:a", "aac")),
    "3g2": (AudioFormat.THREE_GP2, "a.3g2", ("-c:a", "aac")),
    "webm, opus": (AudioFormat.WEBM, "a.webm", ("-c:a", "libopus")),
    "webm, vorbis": (AudioFormat.WEBM, "a.webm", ("-c:a", "libvorbis")),
    "webm, live": (AudioFormat.WEBM, "a.webm", ("-c:a", "libopus", "-live", "1")),
    "opus": (AudioFormat.OPUS, "a.opus", ("-c:a", "libopus")),
    "aac": (AudioFormat.AAC, "a.aac", ("-c:a", "aac")),
    "wma": (AudioFormat.WMA, "a.wma", ("-c:a", "wmav2")),
    "flv, mp3": (AudioFormat.FLV, "a.flv", ("-c:a", "mp3")),
    "flv, aac": (AudioFormat.FLV, "a.flv", ("-c:a", "aac")),
    "mpeg": (AudioFormat.MPEG, "a.mpg", ("-c:a", "mp2")),
    "mpeg, transport": (AudioFormat.MPEG, "a.ts", ("-c:a", "aac")),
}
"""What each is recognised as, and how it is made."""

STREAMING = frozenset(CONTAINERS) - {"m4a", "m4a, lossless", "mp4, video", "mov", "3gp", "3g2"}
"""Those that can be converted while they come in."""


@cache
def in_container(name: str) -> bytes:
    """Return stereo of 44.1 kHz with a tone, in the container of that name."""
    _, file_name, options = CONTAINERS[name]
    audio = tone(SECONDS, rate=44_100, channels=2, frequency_hertz=FREQUENCY_HERTZ)
    return contained(audio, file_name, *options)
