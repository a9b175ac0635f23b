"""Recordings that are sent over HTTP: as WAV files."""

from __future__ import annotations

import hashlib
import io
import random
import wave
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SentFile:
    """A file of noise, which is made again from its name whenever it is needed."""

    name: str
    audio_bytes: int

    def data(self) -> bytes:
        """Return its bytes."""
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setparams((1, 2, 8000, 0, "NONE", ""))
            wav.writeframes(random.Random(self.name).randbytes(self.audio_bytes))
        return file.getvalue()

    def digest(self) -> str:
        """Return its SHA-256."""
        return hashlib.sha256(self.data()).hexdigest()


@dataclass
class TusUpload:
    """A file that was sent by tus.

    Attributes:
        upload_id: Of the upload that the service has told of.
        is_finished: Whether the service has acknowledged all of it.
    """

    file: SentFile
    upload_id: str
    is_finished: bool = False


@dataclass
class PutFile:
    """What was sent under one file name.

    Attributes:
        unanswered: One for each PUT without an answer. It may have been stored, even late.
        acknowledged: The last that was.
    """

    name: str
    unanswered: list[SentFile] = field(default_factory=list)
    acknowledged: SentFile | None = None
