"""One stream that appends to an upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import google_crc32c
from typing_extensions import override

from kazoo_media.errors import (
    ChecksumMismatchError,
    ContentMismatchError,
    DrainingError,
    MediaError,
    NotRawAudioError,
    OffsetGapError,
    TooLargeError,
    UploadEndedError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.uploads import TailAppend, UploadRow, UploadState
from kazoo_media.model import unix_time_ms
from kazoo_media.recordings.flusher import URGENT_BYTES, Flushed, Flusher
from kazoo_media.recordings.raw_audio import LONGEST_MAGIC, looks_like_a_container
from kazoo_media.recordings.spec import Ending, UploadSpec
from kazoo_media.recordings.states import Received, appended, too_many_marks
from kazoo_media.recordings.time_line import MOST_MARKS, Gap, Mark, gaps_of, marks_of

MOST_MESSAGE_BYTES = 3 * 1024 * 1024
"""Of the data of one `append`."""

_LONGEST_GAP_MS = 86_400_000
_MOST_HELD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Flushes:
    """What a stream needs of its process.

    Attributes:
        flusher: Makes durable what the stream receives.
        note_growth: Called with the row after every flush that stored bytes.
    """

    flusher: Flusher
    note_growth: Callable[[UploadRow], None]


class Stream(Flushed):
    """A stream holds an upload until it ends, or another stream takes the upload over.

    Every method raises the error that has ended the stream. One task appends; any other may iterate
    over `acknowledgements`. The caller closes the stream in every case.

    Attributes:
        row: The upload as it was last stored.
        spec: What is recorded.
        received_size: Bytes that have arrived since the upload began, durable or not.
    """

    def __init__(self, row: UploadRow, spec: UploadSpec, flushes: Flushes) -> None:
        self.row = row
        self.received_size = row.persisted_size
        self._held_bytes = 0
        self.spec = spec
        self._first = b""
        self._flusher = flushes.flusher
        self._note_growth = flushes.note_growth
        self._parts: list[bytes | Mark] = []
        self._mark_count = len(marks_of(row.marks))
        self._gaps = gaps_of(row.marks, spec.raw) if spec.raw else {}
        self._error: MediaError | None = None
        self._is_closing = False
        self._has_ended = row.state is not UploadState.RECEIVING
        self._changed = asyncio.Event()
        self._takes = self._answers = 0
        self._is_last = False
        if not self._has_ended:
            self._flusher.add(self)

    @property
    def has_ended(self) -> bool:
        """Return whether nothing can be appended: the upload has ended, or ends."""
        return self._has_ended

    async def append(self, offset: int, data: bytes, crc32c: int | None = None) -> None:
        """Receive bytes at an offset; those below `received_size` are skipped.

        They are durable when `acknowledgements` has a row that covers them. Waits while too much is
        not durable yet.

        Raises:
            ChecksumMismatchError: the bytes do not have this CRC-32C.
            OffsetGapError: bytes before them are missing.
            TooLargeError: the upload would be longer than its limit.
            ValidationError: raw audio begins like a container, or these are more than
                MOST_MESSAGE_BYTES.
        """
        self._check_alive()
        if len(data) > MOST_MESSAGE_BYTES:
            message = f"must not have more than {MOST_MESSAGE_BYTES} bytes"
            raise ValidationError([Violation("data", "invalid", message, {})])
        if crc32c is not None and google_crc32c.value(data) != crc32c:
            raise ChecksumMismatchError(offset)
        data = data[self._position(offset) :]
        if not data:
            return
        if self.received_size + len(data) + sum(self._gaps.values()) > self.spec.limit_bytes:
            raise TooLargeError(self.spec.limit_bytes)
        if self.spec.raw is not None and self.received_size == len(self._first):
            self._first = (self._first + data)[:LONGEST_MAGIC]
            _check_is_raw(self._first)
        self._parts.append(data)
        self.received_size += len(data)
        self._hold(self._held_bytes + len(data))
        self._flusher.flush_soon(self, is_urgent=self._held_bytes >= URGENT_BYTES)
        while self._held_bytes > _MOST_HELD_BYTES or self._flusher.is_full:
            self._flusher.flush_soon(self, is_urgent=True)
            await self._flusher.flushed()
            self._check_alive()

    def mark(self, offset: int, mark: Mark) -> None:
        """Receive a mark at an offset; one below `received_size` is skipped.

        Raises:
            NotRawAudioError: the upload is a container.
            OffsetGapError: bytes before it are missing.
            ValidationError: the gap is too long, or the upload has too many marks.
            TooLargeError: with its gaps the upload would be longer than its limit.
        """
        self._check_alive()
        raw = self.spec.raw
        if raw is None:
            raise NotRawAudioError(self.row.id)
        if isinstance(mark, Gap) and not 0 < mark.gap_ms <= _LONGEST_GAP_MS:
            message = f"must be 1 to {_LONGEST_GAP_MS}"
            raise ValidationError([Violation("mark.gap_ms", "invalid", message, {})])
        if self._position(offset):
            return
        if self._mark_count >= MOST_MARKS:
            raise too_many_marks()
        if isinstance(mark, Gap):  # it replaces one at the same offset
            gaps = {**self._gaps, offset: raw.bytes_of(mark.gap_ms)}
            if self.received_size + sum(gaps.values()) > self.spec.limit_bytes:
                raise TooLargeError(self.spec.limit_bytes)
            self._mark_count -= offset in self._gaps
            self._gaps = gaps
        self._mark_count += 1
        self._parts.append(mark)
        self._flusher.flush_soon(self, is_urgent=False)

    def flush_soon(self) -> None:
        """Store what has arrived without waiting for the next second."""
        self._check_alive()
        self._flusher.flush_soon(self, is_urgent=True)

    async def flush(self) -> UploadRow:
        """Return the row when everything that has arrived is durable."""
        self._check_alive()
        if self._parts or self._takes > self._answers:
            await self.settle()
            self._check_alive()
        return self.row

    async def acknowledgements(self, until: asyncio.Future[Any]) -> AsyncIterator[UploadRow]:
        """Yield the row after each flush that changed it, until a future is done."""
        until.add_done_callback(lambda _: self._changed.set())
        seen = self.row
        while not until.done():
            if self._error is None and self.row == seen:
                await self._next_change()
            if self.row != seen:
                seen = self.row
                yield seen
            self._check_alive()

    async def end(self, ending: Ending) -> None:
        """Flush for the last time before the upload is committed.

        Raises:
            ContentMismatchError: another number of bytes was sent than has arrived.
            ValidationError: the audio ends within a frame.
        """
        self._check_alive()
        raw = self.spec.raw
        if ending.size_bytes != self.received_size:
            raise ContentMismatchError(
                f"{self.received_size} bytes arrived, the finish says {ending.size_bytes}"
            )
        if raw is not None and self.received_size % raw.frame_bytes:
            message = f"must be a multiple of {raw.frame_bytes}: the audio ends within a sample"
            raise ValidationError([Violation("finish.size_bytes", "invalid", message, {})])
        await self.flush()

    def wake(self) -> None:
        """Look at the stored row soon: something has happened to the upload."""
        if self._can_flush:
            self._flusher.flush_soon(self, is_urgent=True)

    async def settle(self) -> None:
        """Return when what has arrived until now is durable, or the stream has ended.

        Never raises: who appends gets the error.
        """
        goal = self._takes + 1  # one that has begun may be without the newest bytes
        self.wake()
        while self._can_flush and self._answers < goal:
            await self._next_change()

    def release(self) -> None:
        """End without another flush: the upload is committed."""
        self._has_ended = True
        self._flusher.remove(self)
        self._changed.set()

    def close(self) -> None:
        """End the stream. Without a finish the upload is interrupted; what has arrived is kept."""
        if not self._has_ended and self._error is None:
            self._is_closing = True
            self.wake()
        self.release()

    @override
    def take(self) -> TailAppend | None:
        if not self._can_flush:
            return None
        self._takes += 1
        self._is_last = self._is_closing or self._flusher.is_draining
        parts, self._parts = self._parts, []
        received = Received(
            epoch=self.row.epoch,
            offset=self.row.persisted_size,
            parts=parts,
            raw=self.spec.raw,
            ends=self._is_last,
            now_ms=unix_time_ms(),
        )
        change = partial(appended, received=received)
        return TailAppend(self.row.account_id, self.row.id, change)

    @override
    def acknowledge(self, result: UploadRow | MediaError) -> None:
        self._answers += 1
        if isinstance(result, MediaError):
            self._error = result
            self._hold(0)
        else:
            if result.persisted_size > self.row.persisted_size:
                self._note_growth(result)
            self.row = result
            self._hold(self.received_size - result.persisted_size)
            if self._is_last:
                self._error = DrainingError()
                self._hold(0)
        self._changed.set()

    @property
    def _can_flush(self) -> bool:
        return self._error is None and (self._is_closing or not self._has_ended)

    def _hold(self, size_bytes: int) -> None:
        self._flusher.held_bytes += size_bytes - self._held_bytes
        self._held_bytes = size_bytes

    def _position(self, offset: int) -> int:
        """Return how many bytes from the offset on have arrived already.

        Raises:
            OffsetGapError: bytes before it are missing.
        """
        if offset > self.received_size:
            raise OffsetGapError(self.received_size)
        return self.received_size - offset

    def _check_alive(self) -> None:
        if self._error is not None:
            raise self._error
        if self._has_ended:
            raise UploadEndedError(self.row.id, self.row.state)

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _check_is_raw(data: bytes) -> None:
    container = looks_like_a_container(data)
    if container is not None:
        message = f"this is {container}: say so in spec.content_type, without spec.raw"
        raise ValidationError([Violation("data", "invalid", message, {})])
