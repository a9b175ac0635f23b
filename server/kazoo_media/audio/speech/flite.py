"""Text-to-speech by flite: English only, Kazoo's default on the switch."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import SpeechProvider, Voice

_LOCALES = ("en-US", "en-CA", "en-AU", "en-GB")
# Other users of the machine see arguments, so the text goes to stdin. flite then writes its output
# in several pieces and corrects the header, which needs a file. `read` takes the first, empty line:
# the process has its limits when the text arrives, and only then starts children.
_SCRIPT = """
read -r _
file=$(mktemp ./flite-XXXXXXXX) && exec 3<>"$file" && rm -f "$file" &&
flite -voice "$1" -f /dev/stdin -o /dev/fd/3 && cat /dev/fd/3
"""
_LIMITS = ConversionLimits(spool_bytes=256 * 1024 * 1024)
_GENDERS = {"female": "slt", "male": "rms"}


class Flite(SpeechProvider):
    """American voices for all English locales."""

    title = "flite"
    voices = tuple(
        Voice(f"{gender}/{locale}", name)
        for locale in _LOCALES
        for gender, name in _GENDERS.items()
    )

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        argv = ("sh", "-c", _SCRIPT, "flite", voice.engine_voice)
        program = Program(argv, _LIMITS, _LIMITS.spool_bytes)
        return SpeechProgram(self.title, program, self._confinement).speak(f"\n{text}")
