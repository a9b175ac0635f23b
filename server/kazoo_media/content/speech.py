"""Speech: the text of a document becomes its audio.

Theory of operation: a library that creates or changes a document opens `speaking`. The speech is
stored like an upload, including normalization, in blobs that are durable but not yet live. The
library's single transaction makes document and audio appear together. Blobs that are not committed
when `speaking` ends are discarded, so a failing provider leaves no trace.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.running.confinement import Confinement
from kazoo_media.audio.speech.command import SpeechCommand
from kazoo_media.audio.speech.espeak import Espeak
from kazoo_media.audio.speech.flite import Flite
from kazoo_media.audio.speech.ispeech import ISpeech, ISpeechOptions
from kazoo_media.audio.speech.provider import VOICE_NAMES, SpeechProvider, Voice
from kazoo_media.content.intake import Declared, Intake
from kazoo_media.content.normalization import Normalizer
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.transfer import Received, Transfer
from kazoo_media.documents.schema import is_kazoo_voice
from kazoo_media.documents.violations import not_listed, too_long
from kazoo_media.errors import (
    EmptyContentError,
    SpeechFailedError,
    TooLargeError,
    ValidationError,
    Violation,
)
from kazoo_media.metrics import Metrics
from kazoo_media.model import Media
from kazoo_media.settings import (
    MAX_UPLOAD_SIZE,
    TTS_API_KEY,
    TTS_COMMAND,
    TTS_END_PADDING,
    TTS_MAX_TEXT_LENGTH,
    TTS_PROVIDER,
    TTS_SPEED,
    TTS_START_PADDING,
    TTS_URL_ISPEECH,
    Settings,
)

_SPEAKING_AT_ONCE = 8
"""More programs would only share the processors; further requests wait."""


def asks_for_speech(document: Mapping[str, Any], current: Media | None) -> bool:
    """Return whether a valid document needs speech that its media (None: a new one) does not have.

    The same text and voice need no new speech, even if other audio was uploaded since.
    """
    if document["media_source"] != "tts":
        return False
    if current is None or current.content is None:
        return True
    before = current.document
    return before.get("media_source") != "tts" or _saying(before) != _saying(document)


class Speaker:
    """The speech of one change of a document; see `Speech.speaking`."""

    def __init__(self, speech: Speech, account_id: str) -> None:
        self._speech = speech
        self._account_id = account_id
        self._said: tuple[str, str] | None = None
        self._received: Received | None = None
        self._transfers: list[Transfer] = []

    async def say(self, document: Mapping[str, Any]) -> Received:
        """Return the speech of a valid document, to be committed: durable, not live.

        A repeated call with the same text and voice returns the same speech.

        Raises:
            ValidationError: the text contains nothing to say or is too long.
            SpeechFailedError: the provider failed; the text is its reason.
            QueueFullError: too many conversions are waiting.
            StorageFullError, StoreUnavailableError: a store failed.
        """
        saying = _saying(document)
        if self._received is None or self._said != saying:
            self._received = await self._speech.receive(
                self._account_id, document["tts"], self._transfers
            )
            self._said = saying
        return self._received

    async def discard(self) -> None:
        """Remove speech that was not committed."""
        for transfer in self._transfers:
            await transfer.discard()


@dataclass(frozen=True, slots=True)
class VoiceList:
    """The voices of a provider.

    Attributes:
        provider: A value of the setting `tts_provider`.
    """

    provider: str
    voices: Sequence[Voice]


class Speech:
    """Speaks texts with the configured provider."""

    def __init__(
        self,
        renditions: Renditions,
        settings: Settings,
        normalizer: Normalizer,
        confinement: Confinement,
        metrics: Metrics,
    ) -> None:
        self._renditions = renditions
        self._settings = settings
        self._normalizer = normalizer
        self._confinement = confinement
        self._turns = asyncio.Semaphore(_SPEAKING_AT_ONCE)
        self._metrics = metrics

    @asynccontextmanager
    async def speaking(self, scope: WriteScope) -> AsyncIterator[Speaker]:
        """Yield a speaker for one change of a document.

        On exit its speech is either committed or discarded.
        """
        speaker = Speaker(self, scope.account_id)
        try:
            yield speaker
        finally:
            await speaker.discard()

    async def receive(
        self, account_id: str, tts: Mapping[str, Any], transfers: list[Transfer]
    ) -> Received:
        """Speak a text and store the audio.

        The transfer joins `transfers` before it stores anything, so that the caller can discard it.
        """
        await self._check_text(tts["text"])
        provider = await self._provider()
        title = provider.title
        speech = provider.speak(tts["text"], _voice(provider, tts["voice"]))
        limit = await self._settings.get(MAX_UPLOAD_SIZE)
        async with (
            self._normalizer.admit() as normalization,
            self._metrics.turn("speech", self._turns),
            aclosing(speech),
        ):
            intake = Intake(speech, Declared(), limit)
            try:
                head = await intake.read_head()
                source_format = head.format
                if source_format is None:
                    raise SpeechFailedError(f"{title} did not answer with audio")
                transfer = Transfer(self._renditions, account_id, repairs_head=True)
                transfers.append(transfer)
                received = await transfer.run(
                    intake, head, source_format, source_format.content_type, normalization
                )
            except (EmptyContentError, TooLargeError) as error:
                much = "too much" if isinstance(error, TooLargeError) else "no"
                raise SpeechFailedError(f"{title} produced {much} audio") from error
        if received.content.original.facts.duration_ms == 0:
            raise SpeechFailedError(f"{title} produced no audio")
        return received

    async def voices(self) -> VoiceList:
        """Return the voices of the configured provider."""
        provider = await self._provider()
        return VoiceList(provider.title, provider.voices)

    async def _provider(self) -> SpeechProvider:
        values = await self._settings.now()
        title = values[TTS_PROVIDER]
        if title == "espeak":
            return Espeak(self._confinement)
        if title == "flite":
            return Flite(self._confinement)
        if title == "command":
            return SpeechCommand(values[TTS_COMMAND], self._confinement)
        return ISpeech(
            ISpeechOptions(
                url=values[TTS_URL_ISPEECH],
                api_key=values[TTS_API_KEY],
                speed=values[TTS_SPEED],
                start_padding=values[TTS_START_PADDING],
                end_padding=values[TTS_END_PADDING],
            )
        )

    async def _check_text(self, text: str) -> None:
        most = await self._settings.get(TTS_MAX_TEXT_LENGTH)
        if len(text) > most:
            raise ValidationError([too_long("tts.text", most, text)])
        unspeakable = next((each for each in text if _is_control(each)), "")
        if unspeakable:
            message = f"it has the control character U+{ord(unspeakable):04X}"
        elif not any(character.isalnum() for character in text):
            message = "it contains nothing to say"
        else:
            return
        raise ValidationError([Violation("tts.text", "invalid", message, {"value": text})])


def _is_control(character: str) -> bool:
    """Return whether engines treat a character as the end (NUL) or as a command (U+0001)."""
    return unicodedata.category(character) == "Cc" and not character.isspace()


def _voice(provider: SpeechProvider, name: str) -> Voice:
    """Return a provider's voice.

    Raises:
        SpeechFailedError: the provider does not have this voice of Kazoo's; the message begins like
            Kazoo's.
        ValidationError: the voice belongs to another engine.
    """
    voice = provider.find(name)
    if voice is not None:
        return voice
    if is_kazoo_voice(name):
        message = f"invalid_voice: {provider.title} has no voice {name!r}"
        raise SpeechFailedError(message, voice=name)
    target = sorted({each.engine_voice for each in provider.voices} | set(VOICE_NAMES))
    raise ValidationError([not_listed("tts.voice", target, name)])


def _saying(document: Mapping[str, Any]) -> tuple[str, str]:
    tts = document.get("tts") or {}
    return str(tts.get("text")), str(tts.get("voice")).lower()
