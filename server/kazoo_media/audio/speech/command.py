"""Text-to-speech by a program that the operator chooses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import PurePath

from typing_extensions import override

from kazoo_media.audio.conversion import ConversionLimits
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.running.program import Program
from kazoo_media.audio.speech.program import SpeechProgram
from kazoo_media.audio.speech.provider import VOICE_NAMES, SpeechProvider, Voice
from kazoo_media.errors import SpeechFailedError

_GIB = 1024**3
# A neural voice maps its model into memory and opens many libraries.
_LIMITS = ConversionLimits(
    cpu_s=600, stall_s=60, memory_bytes=8 * _GIB, open_files=256, spool_bytes=_GIB // 4
)


class SpeechCommand(SpeechProvider):
    """A program that reads text on stdin and writes an audio file to stdout.

    Its only argument is the voice, for example `female/en-US`.
    """

    title = "command"
    voices = tuple(Voice(name, name) for name in VOICE_NAMES)

    def __init__(self, executable: str, confinement: Confinement) -> None:
        self._executable = executable
        self._confinement = confinement

    @override
    def find(self, name: str) -> Voice | None:
        voice = super().find(name)
        # The name may include a speaker, which the program may know.
        return voice and replace(voice, engine_voice=name)

    @override
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        if not self._executable:
            raise SpeechFailedError("command is not available: set speech.tts_command to a program")
        argv = (self._executable, voice.engine_voice)
        title = PurePath(self._executable).name
        program = Program(argv, _LIMITS, _LIMITS.spool_bytes, ends_with_pipes=False)
        return SpeechProgram(title, program, self._confinement).speak(text)
