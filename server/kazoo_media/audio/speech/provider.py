"""The interface of a speech provider: text in, audio out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import ClassVar

LARGEST_TEXT_CHARACTERS = 16_000
"""No text may be longer: in UTF-8 it still fits into the buffer of a pipe."""


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
    """One of Kazoo's voices, as an engine has it.

    Attributes:
        name: Kazoo's, one of VOICE_NAMES.
        engine_voice: The engine's own name for it; several voices may share one.
    """

    name: str
    engine_voice: str

    @property
    def gender(self) -> str:
        """Return `female` or `male`."""
        return self.name.partition("/")[0]

    @property
    def locale(self) -> str:
        """Return it as Kazoo writes it: `en-US`."""
        return self.name.partition("/")[2]


class SpeechProvider(ABC):
    """One engine. Safe for concurrent use.

    Attributes:
        title: What the setting `tts_provider` calls it.
        voices: All that it has, in the order of VOICE_NAMES.
    """

    title: ClassVar[str]
    voices: ClassVar[Sequence[Voice]]

    def find(self, name: str) -> Voice | None:
        """Return the voice that Kazoo or the engine calls so, in any case, None: there is none.

        What follows gender and locale, a speaker's name, is ignored.
        """
        wanted = name.lower()
        kazoo_name = "/".join(wanted.split("/")[:2])
        for voice in self.voices:
            if voice.name.lower() == kazoo_name or voice.engine_voice.lower() == wanted:
                return voice
        return None

    @abstractmethod
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        """Yield the speech as an audio file; sizes in a WAV header need not be true.

        Closing the generator early leaves neither process nor connection behind.

        Args:
            text: At most LARGEST_TEXT_CHARACTERS, with something to say in it; of control
                characters it has those of white space alone.
            voice: What `find` returned.

        Raises:
            SpeechFailedError: with the provider's reason; at once, or from the generator, also
                after audio, which is then worthless.
        """
