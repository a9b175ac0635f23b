"""The interface of a speech provider: text in, audio out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from kazoo_media.errors import SpeechFailedError

LARGEST_TEXT_CHARACTERS = 16_000
"""No text may be longer: in UTF-8 it still fits into the buffer of a pipe."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks.

    Attributes:
        locale: As Kazoo writes it, in lower case: `en-us`.
        name: As the document has it: `female/en-US`.
    """

    locale: str
    is_female: bool
    name: str

    @property
    def key(self) -> str:
        """Return gender and locale: `female/en-us`."""
        return f"{'female' if self.is_female else 'male'}/{self.locale}"


class SpeechProvider(ABC):
    """One engine. Safe for concurrent use."""

    @abstractmethod
    def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        """Yield the speech as an audio file; sizes in a WAV header need not be true.

        Closing the generator early leaves neither process nor connection behind.

        Args:
            text: At most LARGEST_TEXT_CHARACTERS, with something to say in it.

        Raises:
            SpeechFailedError: with the provider's reason; at once, or from the generator, also
                after audio, which is then worthless.
        """


def parse_voice(name: str) -> Voice:
    """Return the voice of one of Kazoo's names: gender, locale, and a speaker that is ignored.

    Raises:
        SpeechFailedError: the name is of another kind.
    """
    gender, _, rest = name.partition("/")
    locale = rest.partition("/")[0].lower()
    if gender.lower() not in ("female", "male") or not locale:
        raise invalid_voice("the configured provider", name)
    return Voice(locale, gender.lower() == "female", name)


def invalid_voice(provider: str, name: str) -> SpeechFailedError:
    """Return the error of a voice that a provider does not have; it begins with Kazoo's word."""
    return SpeechFailedError(f"invalid_voice: {provider} has no voice {name!r}", voice=name)
