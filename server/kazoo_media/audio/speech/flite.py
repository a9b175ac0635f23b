"""Speech by flite: English only, Kazoo's default on the switch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import SpeechProvider, Voice, invalid_voice

_FEMALE, _MALE = "slt", "rms"


class Flite(SpeechProvider):
    """American voices, whatever the English locale."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        if not voice.locale.startswith("en-"):
            raise invalid_voice("flite", voice.name)
        # Read from a file, stdin or not, flite writes an empty WAV into a pipe. The space: no
        # text is an option.
        name = _FEMALE if voice.is_female else _MALE
        argv = ("flite", "-voice", name, "-t", f" {text}", "-o", "/dev/stdout")
        return SpeechProgram("flite", argv, ConversionLimits(spool_bytes=0), self._folder).speak("")
