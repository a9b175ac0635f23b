"""The interface of text-to-speech providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_TEXT_CHARACTERS = 16_000
"""Maximum length of a text; encoded as UTF-8 it still fits into the buffer of a pipe."""

# fmt: off
LOCALES = (
    "en-US", "en-CA", "en-AU", "en-GB", "es-US", "es-ES", "fr-CA", "fr-FR", "zh-CN", "zh-HK",
    "zh-TW", "ja-JP", "ko-KR", "da-DK", "de-DE", "fi-FI", "it-IT", "nb-NO", "nl-NL", "pl-PL",
    "pt-BR", "pt-PT", "ru-RU", "sv-SE", "hu-HU", "cs-CZ", "tr-TR", "ca-ES",
)
# fmt: on
VOICE_NAMES = tuple(f"{gender}/{locale}" for locale in LOCALES for gender in ("female", "male"))
"""Kazoo's voices. Source: Kazoo schemas/media.json."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One of Kazoo's voices in an engine.

    Attributes:
        name: Kazoo's name, one of VOICE_NAMES.
        engine_voice: The engine's own name; several voices may share one.
    """

    name: str
    engine_voice: str

    @property
    def gender(self) -> str:
        """Return `female` or `male`."""
        return self.name.partition("/")[0]

    @property
    def locale(self) -> str:
        """Return the locale as Kazoo writes it, for example `en-US`."""
        return self.name.partition("/")[2]


class SpeechProvider(ABC):
    """A text-to-speech engine. Safe for concurrent use.

    Attributes:
        title: Its name in the setting `tts_provider`.
        voices: Its voices, in the order of VOICE_NAMES.
    """

    title: ClassVar[str]
    voices: ClassVar[Sequence[Voice]]

    def find(self, name: str) -> Voice | None:
        """Return the voice with this name of Kazoo or the engine; None if there is none.

        The case does not matter, and a speaker's name after gender and locale is ignored.
        """
        lowered = name.lower()
        kazoo_name = "/".join(lowered.split("/")[:2])
        for voice in self.voices:
            if voice.name.lower() == kazoo_name or voice.engine_voice.lower() == lowered:
                return voice
        return None

    @abstractmethod
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        """Yield the speech as an audio file. The sizes in a WAV header may be wrong.

        Closing the generator early ends the process or connection.

        Args:
            text: At most MAX_TEXT_CHARACTERS, with letters or digits; the only control characters
                in it are white space.
            voice: A voice that `find` returned.

        Raises:
            SpeechFailedError: the provider failed; it has the provider's reason. It is raised at
                once or by the generator, also after some audio, which is then useless.
        """
