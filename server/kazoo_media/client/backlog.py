"""What a recorder has taken and the service has not acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import grpc

from kazoo_media.client.errors import MediaServiceError
from kazoo_media.client.spool import Mark, Spool
from kazoo_media.v1.upload_service_pb2 import (
    RAW_ENCODING_ALAW,
    RAW_ENCODING_LINEAR16,
    RAW_ENCODING_MULAW,
    AppendUploadRequest,
    RawAudio,
)

_log = logging.getLogger(__name__)
_MOST_MEMORY_BYTES = 128 * 1024
"""Of what is spooled already: the newest of it is sent without reading it again."""

_MOST_HELD_BYTES = 16 * 1024 * 1024
_MOST_BATCH_BYTES = 1024 * 1024  # a multiple of every frame
_MESSAGE_BYTES = 256 * 1024  # a multiple of every frame
_SHORTEST_GAP_MS = 20
_LONGEST_GAP_MS = 86_400_000
_SILENCE = {RAW_ENCODING_LINEAR16: b"\x00", RAW_ENCODING_MULAW: b"\xff", RAW_ENCODING_ALAW: b"\xd5"}


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes to the disk at once.

    Attributes:
        offset: Local offset of `data`.
        marks: With their local offsets.
        below: The service has everything below this local offset.
        end: Local offset up to which everything was taken from the queue.
    """

    spool: Spool
    offset: int
    data: bytes
    marks: list[tuple[int, Mark]]
    below: int
    end: int

    def write(self) -> OSError | None:
        """Bring the batch to the disk; return why it could not be. Blocks."""
        for offset, mark in self.marks:
            self.spool.note(offset, mark)
        try:
            self.spool.flush()
            if self.data:
                self.spool.append(self.offset, self.data)
        except OSError as error:
            self.spool.touch(self.below)
            return error
        with suppress(OSError):  # tried again with the next batch
            self.spool.forget(self.below)
        return None


class Backlog:
    """Bytes and marks on their way from `put` to the spool, the service and oblivion.

    Theory of operation:

    1. `put` only appends to a queue, so any thread may call it and it never waits.
    2. A few times a second `take` masks what is in the queue and cuts it into whole frames, a
       thread writes it to the spool, and `stored` shows it to the stream.
    3. Memory keeps what is not spooled, and the newest part of what is. A stream that starts
       further back reads from the spool.
    4. If the disk of the spool fails, memory keeps everything that is not acknowledged, up to 16
       MiB. Then `put` refuses more.

    All offsets here are local, as in `Spool`; `base` converts them.

    Attributes:
        end: Local offset of the end of what the stream may send.
    """

    def __init__(self, spool: Spool, raw: RawAudio | None, wake: Callable[[], None]) -> None:
        """Go on with a spool.

        Args:
            wake: Called from any thread when `take` has to be called soon.
        """
        self._spool = spool
        self._wake = wake
        self._silence = _SILENCE.get(raw.encoding, b"\x00") if raw else b""
        self._frame_bytes = frame_bytes(raw)
        self._queue: deque[bytes | Mark | AppendUploadRequest.Finish] = deque()
        self._put_bytes = self._taken_bytes = self._woken_bytes = 0
        self._rest = b""
        self._first_put_s = 0.0
        self._needs_gap = raw is not None and spool.written_s is not None
        self._start = self.end = self._taken_end = self._spooled_end = spool.end
        self._sent_end = spool.end  # an earlier process may have sent all of it
        self._acked = 0
        self._blocks: deque[tuple[int, bytes]] = deque()
        self._marks = list(spool.marks)
        self._new_marks: list[tuple[int, Mark]] = []
        self._is_masked = _is_masking(mark for _, mark in self._marks)
        self._digest = None if spool.is_resumed else hashlib.sha256()
        self._is_placed = self._is_closed = False
        self._finish: AppendUploadRequest.Finish | None = None
        self._failure: OSError | None = None
        self._news = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def persisted_size(self) -> int:
        """Return how many bytes of the upload are known to be durable in the service."""
        return self._spool.base + self._acked

    @property
    def total_bytes(self) -> int:
        """Return the size of the upload with everything that was taken."""
        return self._spool.base + self._taken_end

    @property
    def is_behind(self) -> bool:
        """Return whether the disk works and has not got everything that was taken."""
        return self._failure is None and self._kept_until < self._taken_end

    @property
    def loss(self) -> OSError | None:
        """Return why the next recorder would miss bytes or a pause; None: it would not."""
        is_lost = self._kept_until < self._taken_end or self._spool.is_behind
        return self._failure if is_lost else None

    def put(self, data: bytes) -> None:
        """Take bytes, from any thread.

        Raises:
            OSError: neither the disk nor the service has taken what came before; these bytes are
                not recorded.
            ValueError: the end was put, or these are more than 16 MiB.
        """
        self._check_open()
        if len(data) > _MOST_HELD_BYTES:
            raise ValueError(f"{len(data)} bytes are too many at once: at most {_MOST_HELD_BYTES}")
        if self._held_bytes + len(data) > _MOST_HELD_BYTES:
            raise self._failure or OSError("the disk of the spool is too slow")
        if not self._first_put_s:
            self._first_put_s = time.time()
        self._put_bytes += len(data)
        self._queue.append(data)
        if self._put_bytes - self._woken_bytes >= _MESSAGE_BYTES:
            self._woken_bytes = self._put_bytes
            self._wake()

    def put_mark(self, mark: Mark) -> None:
        """Take a mark after everything that was put before, from any thread."""
        self._check_open()
        self._queue.append(mark)
        self._wake()

    def put_finish(self, finish: AppendUploadRequest.Finish) -> None:
        """Take the end. Its size and digest are filled in; part of a frame before it is dropped."""
        self._is_closed = True
        self._queue.append(finish)
        self._wake()

    async def drained(self) -> None:
        """Return when little of what was put is only in memory."""
        while self._held_bytes > _MESSAGE_BYTES:
            await self._next_progress()

    async def settled(self) -> None:
        """Return when everything that was put until now is durable in the service."""
        goal = self._start + self._put_bytes
        goal -= goal % self._frame_bytes
        while not self._is_placed or self._acked < goal:
            await self._next_progress()

    def take(self) -> Batch | None:
        """Return what has to go to the disk now, None if there is nothing."""
        run: list[bytes] = []
        while self._queue:
            part = self._queue.popleft()
            if isinstance(part, bytes):
                run.append(part)
                continue
            self._take_bytes(run)
            run = []
            if isinstance(part, Mark):
                self._is_masked = _is_masking([part], was=self._is_masked)
                self._new_marks.append((self._taken_end, part))
            else:
                self._finish = part
        self._take_bytes(run)
        marks, self._new_marks = self._new_marks, []
        start, data = self._kept_until, self._unspooled()
        if data or marks or self._spool.is_behind or self._spool.has_room(self._acked):
            return Batch(self._spool, start, data, marks, self._acked, self._taken_end)
        if self._finish is not None:
            self._news.set()
        return None

    def stored(self, batch: Batch, error: OSError | None) -> None:
        """Show the stream what a batch had, whether the disk took it or not."""
        if error is not None and self._failure is None:
            _log.warning("%s cannot be written, only memory is left: %s", self._spool.folder, error)
        self._failure = error
        if error is None:
            self._spooled_end = batch.offset + len(batch.data)
        self._marks += batch.marks
        self.end = batch.end
        self._trim()
        self._news.set()
        self._progress.set()
        if self.is_behind:
            self._wake()

    async def place(self, persisted_size: int) -> None:
        """Find out where the spool lies in the upload, from the first answer of the service.

        Raises:
            MediaServiceError: the upload has bytes where this recorder has others to send.
        """
        if not self._is_placed:
            base = max(self._spool.base, persisted_size - self._spool.opened_end)
            if base > self._spool.base:
                self._digest = None
                if self._spool.opened_end:
                    _log.warning(
                        "%s has %s bytes, the service %s; it goes on after these",
                        self._spool.folder,
                        self._spool.base + self._spool.opened_end,
                        persisted_size,
                    )
            with suppress(OSError):  # the disk gets nothing more until it takes this
                await asyncio.to_thread(self._spool.rebase, base)
            self._is_placed = True
        elif persisted_size > self._spool.base + self._sent_end:
            size = self._spool.base + self._sent_end
            raise MediaServiceError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "CONTENT_MISMATCH",
                f"the upload has bytes of another recorder: {persisted_size}, sent were {size}",
            )
        self.acknowledge(persisted_size)

    def acknowledge(self, persisted_size: int) -> None:
        """Forget what the service has."""
        self._acked = max(self._acked, persisted_size - self._spool.base)
        self._trim()
        self._progress.set()

    async def messages(self, persisted_size: int) -> AsyncIterator[AppendUploadRequest]:
        """Yield what a stream has to send from an offset of the upload on, the finish last.

        Raises:
            OSError: the spool cannot be read.
        """
        at = persisted_size - self._spool.base
        marks = [each for each in self._marks if each[0] >= at]
        seen = len(self._marks)
        while True:
            self._news.clear()
            marks += self._marks[seen:]
            seen = len(self._marks)
            if marks and marks[0][0] <= at:
                yield self._message(at, mark=marks.pop(0)[1])
            elif at < self.end:
                until = min(marks[0][0], self.end) if marks else self.end
                data = await self._read(at, min(until - at, _MESSAGE_BYTES))
                self._sent_end = max(self._sent_end, at + len(data))
                yield self._message(at, data=data)
                at += len(data)
            elif self._finish is not None and not self._queue and at == self._taken_end:
                yield AppendUploadRequest(finish=self._whole_finish(self._finish))
                return
            else:
                await self._news.wait()

    def _message(
        self, at: int, *, data: bytes | None = None, mark: Mark | None = None
    ) -> AppendUploadRequest:
        return AppendUploadRequest(write_offset=self._spool.base + at, data=data, mark=mark)

    def _whole_finish(self, finish: AppendUploadRequest.Finish) -> AppendUploadRequest.Finish:
        whole = AppendUploadRequest.Finish(size_bytes=self.total_bytes)
        if self._digest is not None:
            whole.sha256 = self._digest.hexdigest()
        whole.MergeFrom(finish)
        return whole

    @property
    def _kept_until(self) -> int:
        """Return the local offset up to which memory may lose everything."""
        return max(self._spooled_end, self._acked)

    @property
    def _held_bytes(self) -> int:
        return self._put_bytes - self._taken_bytes + max(0, self._taken_end - self._kept_until)

    def _take_bytes(self, run: list[bytes]) -> None:
        data = b"".join(run)
        self._taken_bytes += len(data)
        data = self._rest + (self._silence * len(data) if self._is_masked else data)
        whole = len(data) - len(data) % self._frame_bytes
        data, self._rest = data[:whole], data[whole:]
        if not data:
            return
        if self._needs_gap:
            self._needs_gap = False
            self._take_gap()
        if self._digest is not None:
            self._digest.update(data)
        self._blocks.append((self._taken_end, data))
        self._taken_end += len(data)

    def _take_gap(self) -> None:
        away_ms = round((self._first_put_s - (self._spool.written_s or 0.0)) * 1000)
        if away_ms >= _SHORTEST_GAP_MS:
            self._new_marks.append((self._taken_end, Mark(gap_ms=min(away_ms, _LONGEST_GAP_MS))))

    def _unspooled(self) -> bytes:
        """Return what the disk gets next; little enough to be tried five times a second."""
        parts, left = [], _MOST_BATCH_BYTES
        for offset, block in self._blocks:
            begin = max(0, self._kept_until - offset)
            parts.append(block[begin : begin + left])
            left -= len(parts[-1])
            if not left:
                break
        return b"".join(parts)

    def _trim(self) -> None:
        while self._blocks:
            offset, data = self._blocks[0]
            is_old = self._taken_end - offset > _MOST_MEMORY_BYTES
            needed_until = self._kept_until if is_old else self._acked
            if offset + len(data) > needed_until:
                return
            self._blocks.popleft()

    async def _read(self, at: int, size: int) -> bytes:
        for offset, data in self._blocks:
            if offset <= at < offset + len(data):
                return data[at - offset : at - offset + size]
        return await asyncio.to_thread(self._spool.read, at, size)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("the recording is finished")

    async def _next_progress(self) -> None:
        self._progress.clear()
        await self._progress.wait()


def frame_bytes(raw: RawAudio | None) -> int:
    """Return the size of a sample of all channels; 1 for a container."""
    if raw is None:
        return 1
    return max(1, raw.channel_count) * (2 if raw.encoding == RAW_ENCODING_LINEAR16 else 1)


def _is_masking(marks: Iterable[Mark], *, was: bool = False) -> bool:
    """Return whether what follows the marks is masked."""
    for mark in marks:
        if mark.WhichOneof("kind") != "gap_ms":
            was = mark.WhichOneof("kind") == "pause"
    return was
