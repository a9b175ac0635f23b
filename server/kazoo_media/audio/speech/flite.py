"""Text-to-speech by flite: English only, Kazoo's default on the switch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import SpeechProvider, Voice

_LOCALES = ("en-US", "en-CA", "en-AU", "en-GB")
_GENDERS = {"female": "slt", "male": "rms"}


class Flite(SpeechProvider):
    """American voices for all English locales."""

    title = "flite"
    voices = tuple(
        Voice(f"{gender}/{locale}", name)
        for locale in _LOCALES
        for gender, name in _GENDERS.items()
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        # The text is an argument: if flite reads it from a file or stdin, it writes an empty WAV
        # into a pipe. The space keeps a text from being taken for an option.
        argv = ("flite", "-voice", voice.engine_voice, "-t", f" {text}", "-o", "/dev/stdout")
        limits = ConversionLimits(spool_bytes=0)
        return SpeechProgram(self.title, argv, limits, self._folder).speak("")
