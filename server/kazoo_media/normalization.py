"""Normalization: when and how content is converted.

Settings are read once for each upload. Theory of operation:

1. An upload asks for admission before it reads a byte. Normalization off: there is nothing to do.
2. While fewer than `media.max_streaming_conversions` run, the conversion streams: the converter
gets the bytes while
   they arrive. A conversion that waits for a slow upload costs no CPU, so these are sessions, not
   slots.
3. Beyond that the upload is stored first and converted from its stored original before the answer,
as many at once as
   there are cores.
4. When `media.max_queued_conversions` uploads wait for that, the next is refused before it is read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kazoo_media.audio.arguments import parse_arguments
from kazoo_media.audio.conversion import Conversion
from kazoo_media.audio.formats import AudioFormat, target_format
from kazoo_media.audio.sox import sox_argv, start_sox
from kazoo_media.errors import QueueFullError
from kazoo_media.settings import Settings

_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Normalization:
    """How one upload is normalized.

    Attributes:
        target: Format of the normalized rendition.
        streams: Whether the conversion runs while the upload does; else it starts from the stored
            original, in its `turn`.
    """

    target: AudioFormat
    streams: bool
    executable: str
    source_arguments: tuple[str, ...]
    destination_arguments: tuple[str, ...]
    turn: asyncio.Semaphore
    temporary_folder: Path

    async def start(self, source: AudioFormat | None, head: bytes) -> Conversion:
        """Return a running conversion; whether it succeeds is told by its outcome, never by an
        exception.

        Args:
            source: Sniffed format of the upload; None when it was not recognised.
            head: The first bytes of the upload, as many as were sniffed. They are to be fed as
                well.
        """
        raise NotImplementedError
