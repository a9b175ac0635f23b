"""Audio without any samples becomes an error, not a few frames of silence."""

from __future__ import annotations

import struct

import pytest

from kazoo_media.audio.formats import AudioFormat
from tests.support.audio_samples import contained, encoded, silence, tone
from tests.unit.audio.convert import damage, every

_NOTHING = silence(0.0)
_FLAC = encoded(tone(0.5), "flac")
_FLAC_HEAD = _FLAC[: _FLAC.index(b"\xff\xf8")]
_OGG = encoded(tone(0.5), "ogg")
_PICTURE = b"\x06" + struct.pack(">I", 300_000)[1:] + bytes(300_000)

_EMPTY: dict[str, tuple[bytes, AudioFormat]] = {
    "WAV": (_NOTHING, AudioFormat.WAV),
    "WAV of a stream": (_NOTHING[:40] + b"\xff" * 4, AudioFormat.WAV),
    **{
        f"WAV of {each}": (encoded(_NOTHING, "wav", "-e", each), AudioFormat.WAV)
        for each in ("mu-law", "a-law", "gsm-full-rate", "ima-adpcm", "ms-adpcm")
    },
    "AU": (encoded(_NOTHING, "au"), AudioFormat.AU),
    "AIFF": (contained(_NOTHING, "a.aiff"), AudioFormat.AIFF),
    "AIFF of a stream": (encoded(_NOTHING, "aiff"), AudioFormat.AIFF),
    "CAF": (contained(_NOTHING, "a.caf"), AudioFormat.CAF),
    "Wave64": (contained(_NOTHING, "a.w64"), AudioFormat.WAVE64),
    "Ogg FLAC": (contained(_NOTHING, "a.ogg", "-c:a", "flac"), AudioFormat.OGG_FLAC),
    "WAV of MP3": (contained(_NOTHING, "a.wav", "-c:a", "mp3"), AudioFormat.WAV),
    "GSM": (b"rubbish!" * 50, AudioFormat.GSM),
    "FLAC that declares audio": (_FLAC_HEAD, AudioFormat.FLAC),
    "FLAC": (contained(_NOTHING, "a.flac"), AudioFormat.FLAC),
    "FLAC with a picture": (_FLAC_HEAD[:42] + b"\x84" + _PICTURE[1:], AudioFormat.FLAC),
    "Ogg": (encoded(_NOTHING, "ogg"), AudioFormat.OGG),
    "Ogg that ends after its headers": (_OGG[: _OGG.rindex(b"OggS")], AudioFormat.OGG),
    "Opus": (contained(_NOTHING, "a.opus", "-c:a", "libopus"), AudioFormat.OPUS),
    "AMR": (b"#!AMR\n", AudioFormat.AMR),
    "AMR-WB": (b"#!AMR-WB\n", AudioFormat.AMR_WB),
    "MP3": (contained(_NOTHING, "a.mp3"), AudioFormat.MP3),
    "MP3 of a tag": (damage.id3(3000), AudioFormat.MP3),
    "M4A": (contained(_NOTHING, "a.m4a"), AudioFormat.M4A),
    "WebM": (contained(_NOTHING, "a.webm"), AudioFormat.WEBM),
    "WMA": (contained(_NOTHING, "a.wma"), AudioFormat.WMA),
}


@pytest.mark.parametrize("name", _EMPTY)
async def test_audio_without_samples_is_an_error(start: every.Start, name: str) -> None:
    data, source = _EMPTY[name]

    _, outcome = await every.run_all(start(source), data)

    assert every.reason(outcome).startswith("no audio in the input")
