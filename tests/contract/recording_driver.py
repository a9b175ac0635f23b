"""The ways into the service that a recorder has, as the suite of its promises drives them."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from kazoo_media.recordings.raw_audio import RawAudio, RawEncoding
from kazoo_media.recordings.spec import UploadSpec
from kazoo_media.recordings.time_line import Mark, PauseMode

MULAW = RawAudio(RawEncoding.MULAW, 8000, 1)
SPEC = UploadSpec(document={"name": "call", "call_id": "c1"}, raw=MULAW)
WAV_SPEC = UploadSpec(document={"name": "file"})
STEREO = RawAudio(RawEncoding.LINEAR16, 16000, 2, ("caller", "callee"))


def audio(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes that are nowhere silence."""
    return bytes(random.Random(seed).choices(range(1, 200), k=size_bytes))


class RecordingRefusedError(Exception):
    """A call that failed.

    Attributes:
        reason: As in error_reason.proto.
        facts: The metadata of the reason.
    """

    def __init__(self, reason: str, facts: Mapping[str, str], text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason
        self.facts = facts


@dataclass(frozen=True)
class Seen:
    """An upload as callers see it; `media_id` is that of an ended one, "" if nothing was kept."""

    state: str
    persisted_size: int = 0
    crc32c: int = 0
    pause: str = ""
    media_id: str = ""


class RecordingStream(ABC):
    """One stream of a recorder."""

    @abstractmethod
    async def send(
        self,
        offset: int,
        data: bytes = b"",
        *,
        crc32c: int | None = None,
        mark: Mark | None = None,
        flush: bool = False,
    ) -> None:
        """Send one message; its refusal may come later."""

    @abstractmethod
    async def acknowledged(self, size: int) -> Seen:
        """Return the answer that says that so many bytes are durable.

        Raises:
            RecordingRefusedError: the stream has ended.
        """

    @abstractmethod
    async def finish(self, size: int, sha256: str = "", reason: str = "", **extra: Any) -> Seen:
        """Finish the upload and return what has become of it.

        Raises:
            RecordingRefusedError: it was refused.
        """

    @abstractmethod
    async def vanish(self) -> None:
        """Go away as a recorder that crashes."""


class RecordingDriver(ABC):
    """One way into the service, with an account of its own."""

    @abstractmethod
    async def open(self, upload_id: str, spec: UploadSpec = SPEC) -> tuple[RecordingStream, Seen]:
        """Begin an upload, or go on with it.

        Raises:
            RecordingRefusedError: it was refused.
        """

    @abstractmethod
    async def get(self, upload_id: str) -> Seen:
        """Return an upload."""

    @abstractmethod
    async def list(self) -> dict[str, str]:
        """Return the states of all uploads by their ids, read in pages of two."""

    @abstractmethod
    async def pause(self, upload_id: str, mode: PauseMode) -> Seen:
        """Pause an upload from outside."""

    @abstractmethod
    async def resume(self, upload_id: str) -> Seen:
        """End a pause from outside."""

    @abstractmethod
    async def end(self, upload_id: str, *, keep: bool) -> Seen:
        """End an upload without its recorder."""

    @abstractmethod
    def tail(self, upload_id: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Follow an upload."""

    @abstractmethod
    async def original(self, media_id: str) -> bytes:
        """Return the audio of a recording as it was stored."""

    @abstractmethod
    async def document(self, media_id: str) -> Mapping[str, Any]:
        """Return the keys of its document."""

    async def record(self, upload_id: str, data: bytes, spec: UploadSpec = SPEC) -> Seen:
        """Make a whole recording."""
        stream, _ = await self.open(upload_id, spec)
        await stream.send(0, data)
        return await stream.finish(len(data), hashlib.sha256(data).hexdigest())
