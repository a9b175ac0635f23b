"""Normalization: when and how content is converted.

Settings are read once for each upload. Theory of operation:

1. An upload asks for admission before it reads a byte. If normalization is off and the upload names
   no preset, nothing is converted.
2. While fewer than `media.max_streaming_conversions` are running, the conversion streams: the
   converter gets the bytes while they arrive. A conversion that waits for a slow upload costs no
   CPU, so these are sessions, not slots.
3. Beyond that limit the upload is stored first and converted from its stored original before the
   answer, at most as many at a time as there are cores.
4. If `media.max_queued_conversions` uploads are waiting for that, the next upload is refused before
   it is read.
5. Stored audio is converted again in separate turns, fewer than there are cores: it never takes a
   session or a turn from an upload.
6. The preset kazoo runs exactly the command given by the settings.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from kazoo_media.audio.conversion import Conversion, Started
from kazoo_media.audio.convert.converters import Backend, Converters
from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inspect.head import Head
from kazoo_media.audio.jobs import Job
from kazoo_media.audio.presets import KAZOO, PRESET_NAMES
from kazoo_media.audio.programs.sox import SoxCommand
from kazoo_media.audio.programs.sox_arguments import parse_arguments
from kazoo_media.documents.violations import not_listed
from kazoo_media.errors import (
    NormalizationOffError,
    QueueFullError,
    ValidationError,
)
from kazoo_media.metrics import Metrics
from kazoo_media.settings import (
    MAX_QUEUED_CONVERSIONS,
    MAX_STREAMING_CONVERSIONS,
    NORMALIZATION_FORMAT,
    NORMALIZE_BACKEND,
    NORMALIZE_DESTINATION_ARGS,
    NORMALIZE_EXECUTABLE,
    NORMALIZE_MEDIA,
    NORMALIZE_PRESET,
    NORMALIZE_SOURCE_ARGS,
    NORMALIZE_WAV_ENCODING,
    Settings,
    SettingValues,
)

_RETRY_AFTER_S = 5
_TARGETS = {
    "mp3": AudioFormat.MP3,
    "wav": AudioFormat.WAV,
    "ogg": AudioFormat.OGG,
    "flac": AudioFormat.FLAC,
    "opus": AudioFormat.OPUS,
}


@dataclass(frozen=True, slots=True)
class Normalization:
    """How one upload is normalized.

    Attributes:
        streams: Whether the conversion runs during the upload; otherwise it starts later from the
            stored original.
        first_channel: Whether the other channels of the input are left out.
        turns: One is held while converting from the stored original.
        queue: Name of those who wait for one.
    """

    streams: bool
    turns: asyncio.Semaphore
    queue: str
    preset: str
    executable: str
    target: AudioFormat
    wav_encoding: str
    source_arguments: tuple[str, ...]
    destination_arguments: tuple[str, ...]
    backend: Backend
    converters: Converters
    metrics: Metrics
    first_channel: bool = False

    @property
    def fingerprint(self) -> str:
        """Return the preset and everything else that decides about the output, on one line.

        Equal texts mean equal conversions.
        """
        words = [self.preset, self.target.extension]
        if self.preset == KAZOO:
            words += [self.executable, *self.source_arguments, "-", *self.destination_arguments]
        elif self.target is AudioFormat.WAV:
            words.append(self.wav_encoding)
        return shlex.join(words)

    @property
    def head_changes(self) -> bool:
        """Return whether the first bytes of the output have sizes, known at its end."""
        return self.target in (AudioFormat.WAV, AudioFormat.FLAC)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Return a turn to convert a stored original, held inside its block."""
        return self.metrics.turn(self.queue, self.turns)

    def count(self, conversion: Started, result: str) -> None:
        """Count a conversion by this preset; see `Metrics.conversion_ended`."""
        backend = conversion.backend if isinstance(conversion, Conversion) else "none"
        self.metrics.conversion_ended(self.preset, backend, result)

    async def start(self, source: AudioFormat, head: Head) -> Started:
        """Return a running conversion of the input with this head, or a refusal."""
        if self.first_channel:
            second = partial(replace(self, first_channel=False).start, AudioFormat.WAV)
            return await self.converters.of_first_channel(source, head, second)
        if self.preset == KAZOO:
            given, wanted = self.source_arguments, self.destination_arguments
            command = SoxCommand(self.executable, source, self.target, given, wanted)
            return await self.converters.by_command(command, head)
        job = Job(source, self.target, self.preset, self.wav_encoding, ignore_length=False)
        return await self.converters.by_preset(job, self.backend, self.executable, head)


def check_preset(preset: str) -> None:
    """Check the name of a requested preset; "" requests none.

    Raises:
        ValidationError: no preset has this name.
    """
    if preset and preset not in PRESET_NAMES:
        violation = not_listed("preset", PRESET_NAMES, preset)
        # gRPC has no field for `target`: its clients see the presets only in the text.
        message = f"{violation.message}: {', '.join(PRESET_NAMES)}"
        raise ValidationError([replace(violation, message=message)])


class Normalizer:
    """Decides how each upload of a worker is normalized.

    Attributes:
        metrics: Counts uploads and conversions.
    """

    def __init__(self, settings: Settings, converters: Converters, metrics: Metrics) -> None:
        self._settings = settings
        self._converters = converters
        self.metrics = metrics
        cores = os.cpu_count() or 1
        self._turns = asyncio.Semaphore(cores)
        self._turns_of_stored = asyncio.Semaphore(max(1, cores - 1))
        self._streaming = 0
        self._queued = 0

    @asynccontextmanager
    async def admit(self, preset: str = "") -> AsyncIterator[Normalization | None]:
        """Yield the normalization of an upload, or None; the place in the queue is held until exit.

        Args:
            preset: Applied even if normalization is off; "": as the settings say.

        Raises:
            QueueFullError: too many uploads are waiting for their conversion.
        """
        values = await self._settings.now()
        if not preset and not values[NORMALIZE_MEDIA]:
            yield None
            return
        streams = self._streaming < values[MAX_STREAMING_CONVERSIONS]
        if not streams and self._queued >= values[MAX_QUEUED_CONVERSIONS]:
            message = "too many uploads are waiting for conversion: try again later"
            raise QueueFullError(message, _RETRY_AFTER_S)
        turns = self._turns, "conversion"
        normalization = self._normalization(values, preset, turns, streams=streams)
        self._count(normalization, 1)
        try:
            yield normalization
        finally:
            self._count(normalization, -1)

    async def of_stored(self, preset: str) -> Normalization:
        """Return how stored audio is to be normalized: by a preset, or for "" as the settings say.

        Raises:
            NormalizationOffError: no preset is named and normalization is off.
            ValidationError: no preset has this name.
        """
        check_preset(preset)
        values = await self._settings.now()
        if not preset and not values[NORMALIZE_MEDIA]:
            raise NormalizationOffError
        turns = self._turns_of_stored, "renormalization"
        return self._normalization(values, preset, turns, streams=False)

    def _normalization(
        self,
        values: SettingValues,
        preset: str,
        turns: tuple[asyncio.Semaphore, str],
        *,
        streams: bool,
    ) -> Normalization:
        return Normalization(
            streams=streams,
            turns=turns[0],
            queue=turns[1],
            preset=preset or values[NORMALIZE_PRESET],
            executable=values[NORMALIZE_EXECUTABLE],
            target=_TARGETS[values[NORMALIZATION_FORMAT]],
            wav_encoding=values[NORMALIZE_WAV_ENCODING],
            source_arguments=parse_arguments(values[NORMALIZE_SOURCE_ARGS]),
            destination_arguments=parse_arguments(values[NORMALIZE_DESTINATION_ARGS]),
            backend=Backend(values[NORMALIZE_BACKEND]),
            converters=self._converters,
            metrics=self.metrics,
        )

    def _count(self, normalization: Normalization, change: int) -> None:
        if normalization.streams:
            self._streaming += change
        else:
            self._queued += change
        self.metrics.queue_changed("streaming" if normalization.streams else "stored", change)
