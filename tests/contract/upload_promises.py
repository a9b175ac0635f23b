"""What every upload promises, on whatever way the bytes come: one suite for the core, gRPC and
REST.

A level subclasses `UploadDriver`, and `UploadPromises` as a class `Test...` with a fixture
`driver`:

    class TestPromisesOverGrpc(UploadPromises):
        @pytest.fixture
        async def driver(self) -> AsyncIterator[UploadDriver]: ...

The driver has an account of its own, with a limit of `LIMIT_BYTES` for an upload and normalization
off.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

LIMIT_BYTES = 1024 * 1024
"""What a driver sets `crossbar.max_upload_size` to."""


class UploadRefusedError(Exception):
    """An upload that failed.

    Attributes:
        reason: As in error_reason.proto. Over REST `data.file` of the envelope and the HTTP status
            tell it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UploadDriver(ABC):
    """One way into the service.

    Attributes:
        has_finish: Whether the protocol ends an upload with its size and digest. HTTP has none.
    """

    has_finish: bool

    @abstractmethod
    async def create(self) -> str:
        """Add a media without audio and return its id."""

    @abstractmethod
    async def upload(
        self,
        media_id: str,
        chunks: Sequence[bytes],
        *,
        size_bytes: int | None = None,
        sha256: str | None = None,
    ) -> None:
        """Send the chunks one by one, declared as `audio/wav`, and wait for the answer.

        Args:
            size_bytes: Sent in the finish instead of the right one; only where there is a finish.
            sha256: As `size_bytes`.

        Raises:
            UploadRefusedError: the service answered with an error.
        """

    @abstractmethod
    async def upload_and_vanish(self, media_id: str, chunks: Sequence[bytes]) -> None:
        """Send the chunks, then go away as a client that crashes: without an end, finish or answer.

        Returns when the service is done with this upload, whatever it made of it.
        """

    @abstractmethod
    async def download(self, media_id: str) -> bytes | None:
        """Return the original, None when there is no audio."""

    @abstractmethod
    async def document(self, media_id: str) -> Mapping[str, Any]:
        """Return at least `revision`, and `content_length` when there is audio."""


def wav(size_bytes: int, seed: int = 0) -> bytes:
    """Return a valid WAV file of exactly so many bytes (at least 44): mono noise, 16 bit, 8 kHz."""
    data = random.Random(seed).randbytes(size_bytes - 44)
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", size_bytes - 8, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16
    )
    return head + struct.pack("<4sI", b"data", len(data)) + data


def cut(audio: bytes, chunk_bytes: int = 64 * 1024) -> list[bytes]:
    """Return the audio in chunks."""
    return list(_pieces(audio, chunk_bytes))


def _pieces(audio: bytes, chunk_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(audio), chunk_bytes):
        yield audio[start : start + chunk_bytes]


FIRST = wav(100_000, seed=1)
SECOND = wav(150_000, seed=2)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)


class UploadPromises:
    """The cases."""

    @pytest.fixture
    async def media_id(self, driver: UploadDriver) -> str:
        return await driver.create()

    async def test_what_was_uploaded_comes_back(self, driver: UploadDriver, media_id: str) -> None:
        await driver.upload(media_id, cut(FIRST))
        await self._holds(driver, media_id, FIRST)

    @pytest.mark.parametrize("chunk_bytes", [7, 511, 512, 513, 65_535, 65_537, 10_000_000])
    async def test_the_size_of_chunks_changes_nothing(
        self, driver: UploadDriver, media_id: str, chunk_bytes: int
    ) -> None:
        audio = FIRST if chunk_bytes > 500 else wav(1000)
        await driver.upload(media_id, cut(audio, chunk_bytes))
        await self._holds(driver, media_id, audio)

    async def test_a_second_upload_replaces_the_first(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        await driver.upload(media_id, cut(FIRST))
        before = await driver.document(media_id)
        await driver.upload(media_id, cut(SECOND))
        await self._holds(driver, media_id, SECOND)
        assert (await driver.document(media_id))["revision"] != before["revision"]

    async def test_an_upload_to_an_unknown_media_is_refused(self, driver: UploadDriver) -> None:
        with pytest.raises(UploadRefusedError) as refused:
            await driver.upload("no-such-media", cut(FIRST))
        assert refused.value.reason == "MEDIA_NOT_FOUND"

    async def test_an_aborted_upload_keeps_the_previous_audio(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        await driver.upload(media_id, cut(FIRST))
        before = await driver.document(media_id)
        await driver.upload_and_vanish(media_id, cut(SECOND)[:1])
        await self._holds(driver, media_id, FIRST)
        assert await driver.document(media_id) == before

    async def test_an_upload_aborted_after_its_last_byte_keeps_the_previous_audio(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        await driver.upload(media_id, cut(FIRST))
        await driver.upload_and_vanish(media_id, cut(SECOND))
        await self._holds(driver, media_id, FIRST)

    async def test_an_aborted_first_upload_leaves_a_media_without_audio(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        await driver.upload_and_vanish(media_id, cut(FIRST)[:1])
        assert await driver.download(media_id) is None
        await driver.upload(media_id, cut(SECOND))
        await self._holds(driver, media_id, SECOND)

    @pytest.mark.parametrize("audio", [PNG, b"<html><body>404</body></html>", b'{"data": {}}'])
    async def test_what_is_no_audio_is_refused(
        self, driver: UploadDriver, media_id: str, audio: bytes
    ) -> None:
        await self._refused(driver, media_id, cut(audio), "NOT_AUDIO")

    async def test_an_empty_upload_is_refused(self, driver: UploadDriver, media_id: str) -> None:
        await self._refused(driver, media_id, [], "EMPTY_CONTENT")

    async def test_more_than_the_limit_is_refused(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        await self._refused(driver, media_id, cut(wav(LIMIT_BYTES + 1)), "TOO_LARGE")

    async def test_exactly_the_limit_is_accepted(self, driver: UploadDriver, media_id: str) -> None:
        audio = wav(LIMIT_BYTES)
        await driver.upload(media_id, cut(audio))
        await self._holds(driver, media_id, audio)

    async def test_a_finish_with_a_wrong_digest_is_refused(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        self._needs_finish(driver)
        wrong = hashlib.sha256(b"something else").hexdigest()
        await self._refused(driver, media_id, cut(SECOND), "CONTENT_MISMATCH", sha256=wrong)

    @pytest.mark.parametrize("difference", [-1, 1])
    async def test_a_finish_with_a_wrong_size_is_refused(
        self, driver: UploadDriver, media_id: str, difference: int
    ) -> None:
        self._needs_finish(driver)
        wrong = len(SECOND) + difference
        await self._refused(driver, media_id, cut(SECOND), "CONTENT_MISMATCH", size_bytes=wrong)

    async def test_of_concurrent_uploads_one_wins_as_a_whole(
        self, driver: UploadDriver, media_id: str
    ) -> None:
        candidates = [wav(200_000 + 1000 * n, seed=n) for n in range(5)]
        async with asyncio.TaskGroup() as tasks:
            for each in candidates:
                tasks.create_task(driver.upload(media_id, cut(each, 16 * 1024)))
        winner = await driver.download(media_id)
        assert winner in candidates
        assert (await driver.document(media_id))["content_length"] == len(winner)

    @staticmethod
    async def _holds(driver: UploadDriver, media_id: str, audio: bytes) -> None:
        assert await driver.download(media_id) == audio
        assert (await driver.document(media_id))["content_length"] == len(audio)

    async def _refused(
        self,
        driver: UploadDriver,
        media_id: str,
        chunks: Sequence[bytes],
        reason: str,
        **finish: Any,
    ) -> None:
        """Check that an upload is refused for a reason, and that the previous audio is not
        touched.
        """
        await driver.upload(media_id, cut(FIRST))
        before = await driver.document(media_id)
        with pytest.raises(UploadRefusedError) as refused:
            await driver.upload(media_id, chunks, **finish)
        assert refused.value.reason == reason
        await self._holds(driver, media_id, FIRST)
        assert await driver.document(media_id) == before

    @staticmethod
    def _needs_finish(driver: UploadDriver) -> None:
        if not driver.has_finish:
            pytest.skip("the protocol has no finish: HTTP counts by Content-Length instead")
