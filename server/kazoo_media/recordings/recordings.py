"""Recordings: uploads that run while the audio is being made. What the surfaces call.

Theory of operation:

1. `open` begins an upload or goes on with it; the stream that it returns is the only one that can
   append (`states.py`).
2. What streams receive is flushed together (`flusher.py`): rows of the tail. A long tail becomes
   pieces, which are blobs (`pieces.py`).
3. `finish` makes one media of pieces and tail (`commits.py`).
4. All of it is in the stores: any process can take the next stream, request or commit.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.transfer import cause_of
from kazoo_media.documents.rules import validated
from kazoo_media.errors import (
    DrainingError,
    UploadNotFoundError,
)
from kazoo_media.media.library import Library
from kazoo_media.media.uploads import Uploads
from kazoo_media.metadata.uploads import UploadChange, UploadRow, UploadState, UploadStore
from kazoo_media.metrics import Metrics
from kazoo_media.model import unix_time_ms
from kazoo_media.recordings import states
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.commits import Commits
from kazoo_media.recordings.flusher import Flusher
from kazoo_media.recordings.pieces import Pieces
from kazoo_media.recordings.spec import Ending, UploadSpec, check_upload_id
from kazoo_media.recordings.stream import Flushes, Stream
from kazoo_media.recordings.tails import Tail, Tails
from kazoo_media.recordings.time_line import PauseMode
from kazoo_media.recordings.upload import Outcome, Upload

MOST_OPEN_UPLOADS = 2000
"""Of one account."""


@dataclass(frozen=True, slots=True)
class Process:
    """The process that serves recorders.

    Attributes:
        node_name: Name of its node.
        metrics: Counts what it does.
    """

    node_name: str
    metrics: Metrics


class Recordings:
    """The uploads of all accounts. `running` must be entered while streams are open."""

    def __init__(
        self,
        store: UploadStore,
        renditions: Renditions,
        uploads: Uploads,
        library: Library,
        archive: Archive,
        process: Process,
    ) -> None:
        self._store = store
        self._library = library
        self._holder = f"{process.node_name}:{os.getpid()}"
        self._flusher = Flusher(store, process.metrics)
        self._pieces = Pieces(store, renditions.rows, renditions.blobs, process.metrics)
        self._archive = archive
        self._commits = Commits(store, self._pieces, uploads, library, archive)
        self._tails = Tails(store, self._pieces, library, renditions)
        self._streams: WeakValueDictionary[tuple[str, str], Stream] = WeakValueDictionary()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make durable what streams receive, convert what is finished.

        At the end, running commits are finished, and conversions are left to another process. A
        fault of the service in a flush cancels the caller: a worker must not go on without flushes.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                flushing = tasks.create_task(self._flusher.run())
                archiving = tasks.create_task(self._archive.run())
                try:
                    yield
                finally:
                    self._flusher.stop()
                    await asyncio.wait([flushing])
                    await self._pieces.aclose()
                    await self._commits.aclose()
                    archiving.cancel()
        except BaseExceptionGroup as group:
            raise cause_of(group) from group

    async def drain(self) -> None:
        """Flush what has arrived and end streams and tails with DrainingError; take no more."""
        await self._flusher.drain()
        self._tails.drain()

    async def open(self, scope: WriteScope, upload_id: str, spec: UploadSpec) -> Stream:
        """Begin an upload, or go on with it; an older stream of it is taken over.

        If the upload has ended, the stream `has_ended`, and `finish` returns the outcome.

        Raises:
            ValidationError: the id, the spec or its document breaks rules.
            UnsupportedMediaTypeError: its container cannot be stored.
            MediaNotFoundError: the media whose audio is to be replaced does not exist.
            SpecMismatchError: the upload exists with another spec.
            TooManyUploadsError: the account has too many open uploads.
            DrainingError: the process stops.
        """
        if self._flusher.is_draining:
            raise DrainingError
        check_upload_id(upload_id)
        spec.check()
        text = spec.to_json()
        await self._check_media(scope, spec)
        await self._settle(scope.account_id, upload_id)
        now_ms = unix_time_ms()
        new = UploadRow(
            account_id=scope.account_id,
            id=upload_id,
            state=UploadState.RECEIVING,
            spec=text,
            media_id=spec.media_id or new_recording_id(),
            created_ms=now_ms,
            touched_ms=now_ms,
            holder=self._holder,
        )
        change = partial(states.taken_over, spec=text, holder=self._holder, now_ms=now_ms)
        row = await self._store.open_upload(new, MOST_OPEN_UPLOADS, change)
        self._look_again(row)
        flushes = Flushes(self._flusher, self._pieces.note_growth)
        stream = Stream(row, spec, flushes)
        if not stream.has_ended:
            self._streams[scope.account_id, upload_id] = stream
        return stream

    async def finish(self, stream: Stream, ending: Ending) -> Outcome:
        """End an upload as its recorder wants; return the outcome once it is durable and live.

        After the error of a finish that does not fit, and after that of a store, the recorder may
        open the upload again and go on. An upload that has ended returns its outcome.

        Raises:
            ContentMismatchError: size or digest do not match what has arrived.
            ValidationError: the audio ends within a sample, or the keys break the rules of
                documents, would make a prompt of the recording, or are too long.
            NotAudioError: the container has something else.
            MediaError: the stream has ended, or a store failed.
        """
        row = stream.row
        if not stream.has_ended:
            ending.check()
            if stream.spec.document is not None:
                _check_document({**stream.spec.document, **ending.extra})
            await stream.end(ending)
            change = partial(
                states.committing, epoch=row.epoch, ending=ending, now_ms=unix_time_ms()
            )
            await self._store.change_upload(row.account_id, row.id, change)
            stream.release()
        return await self._commits.commit(row.account_id, row.id)

    async def get(self, scope: ReadScope, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            UploadNotFoundError: it does not exist.
        """
        row = await self._store.get_upload(scope.account_id, upload_id)
        if row is None:
            raise UploadNotFoundError(upload_id)
        return Upload(row)

    async def list_page(
        self, scope: ReadScope, start: str, limit: int
    ) -> tuple[list[Upload], str | None]:
        """Return uploads in the order of their ids, and the id that the next page starts with.

        A page may have fewer than `limit` before the last.
        """
        rows = await self._store.list_uploads(scope.account_id, start, limit + 1)
        next_start = None
        if len(rows) > limit:
            next_start = rows.pop().id
        elif rows:
            # The store may have returned fewer than there are. Ids have no character below "-".
            more = await self._store.list_uploads(scope.account_id, rows[-1].id + " ", 1)
            next_start = more[0].id if more else None
        return [Upload(row) for row in rows], next_start

    async def declare_size(self, scope: WriteScope, upload_id: str, size_bytes: int) -> Upload:
        """Store how many bytes an upload will have; return the upload.

        Raises:
            UploadNotFoundError: it does not exist.
            UploadEndedError: it has ended, or is committing.
            ValidationError: it has another size already, or more bytes.
        """
        change = partial(states.declared, size_bytes=size_bytes, now_ms=unix_time_ms())
        return await self._changed(scope, upload_id, change)

    async def pause(self, scope: WriteScope, upload_id: str, mode: PauseMode) -> Upload:
        """Mask what is flushed from now on; return the upload.

        Raises:
            UploadNotFoundError: it does not exist.
            UploadEndedError: it has ended, or is committing.
            NotRawAudioError: it is a container.
            ValidationError: it was paused too often.
        """
        is_raw = (await self.get(scope, upload_id)).spec.raw is not None
        change = partial(states.paused, mode=mode, is_raw=is_raw, now_ms=unix_time_ms())
        return await self._changed(scope, upload_id, change)

    async def resume(self, scope: WriteScope, upload_id: str) -> Upload:
        """End the mask of `pause` with the next flush; return the upload.

        Raises:
            UploadNotFoundError, UploadEndedError, NotRawAudioError: as `pause`.
        """
        is_raw = (await self.get(scope, upload_id)).spec.raw is not None
        change = partial(states.resumed, is_raw=is_raw, now_ms=unix_time_ms())
        return await self._changed(scope, upload_id, change)

    async def finish_abandoned(
        self, scope: WriteScope, upload_id: str, reason: str, *, keep: bool
    ) -> Outcome:
        """End an upload without its recorder; a stream that appends is taken over.

        Args:
            scope: Has the account.
            upload_id: Names the upload.
            reason: The `end_reason` of the document.
            keep: Whether to make an incomplete recording of it; otherwise it is discarded.

        Raises:
            UploadNotFoundError: it does not exist.
            UploadEndedError: it is to be discarded, but is a media already.
            NotAudioError: the container has something else; the upload stays.
            MediaError: a store failed.
        """
        await self._settle(scope.account_id, upload_id)
        ending = Ending(reason=reason, is_complete=False)
        return await self._end(scope.account_id, upload_id, ending if keep else None, None)

    async def finish_idle(self, row: UploadRow, reason: str, *, keep: bool) -> Outcome:
        """Do the same for an upload that nobody has touched since this row was read.

        Raises:
            UploadEndedError: it has ended, or somebody has touched it.
            NotAudioError: the container has something else; the upload stays.
            MediaError: a store failed.
        """
        ending = Ending(reason=reason, is_complete=False)
        return await self._end(row.account_id, row.id, ending if keep else None, row.touched_ms)

    async def _end(
        self, account_id: str, upload_id: str, ending: Ending | None, if_touched_ms: int | None
    ) -> Outcome:
        """End an upload; without an ending nothing is kept."""
        now_ms = unix_time_ms()
        if ending is None:
            discarded = partial(states.discarded, if_touched_ms=if_touched_ms, now_ms=now_ms)
            row = await self._store.discard_upload(account_id, upload_id, discarded, now_ms)
            self._look_again(row)
            return Outcome(row, None)
        change = partial(
            states.abandoned, ending=ending, if_touched_ms=if_touched_ms, now_ms=now_ms
        )
        row = await self._store.change_upload(account_id, upload_id, change)
        self._look_again(row)
        return await self._commits.commit(account_id, upload_id)

    async def archive(self, row: UploadRow) -> None:
        """Convert a finished recording as the settings say.

        Raises:
            MediaError: a store failed; it can be tried again.
        """
        await self._archive.archive(row)

    async def tail(self, scope: ReadScope, upload_id: str, offset: int) -> Tail:
        """Return the durable bytes of an upload from an offset on, followed until it ends.

        Raises:
            UploadNotFoundError: it does not exist.
            RangeNotSatisfiableError: the offset is beyond its durable bytes.
        """
        return await self._tails.follow(scope, upload_id, offset)

    async def _changed(self, scope: WriteScope, upload_id: str, change: UploadChange) -> Upload:
        return Upload(await self._store.change_upload(scope.account_id, upload_id, change))

    async def _settle(self, account_id: str, upload_id: str) -> None:
        """Store what an older stream of this process has received."""
        older = self._streams.get((account_id, upload_id))
        if older is not None:
            await older.settle()

    def _look_again(self, row: UploadRow) -> None:
        """Let an older stream of this process find out at once that it was taken over."""
        older = self._streams.pop((row.account_id, row.id), None)
        if older is not None and older.row.epoch != row.epoch:
            older.wake()

    async def _check_media(self, scope: WriteScope, spec: UploadSpec) -> None:
        if spec.document is None:
            await self._library.get(scope, spec.media_id)
            return
        _check_document(spec.document)


def _check_document(document: Mapping[str, Any]) -> None:
    """Check the document of a recording as its commit will.

    Raises:
        ValidationError: it breaks the rules of documents.
        TooLargeError: its keys and strings are too long together.
    """
    validated({"language": None, **document, "media_source": "recording"}, None, "")


def new_recording_id() -> str:
    """Return a new id of a recording: year, month, and 32 hex digits."""
    return f"{time.strftime('%Y%m', time.gmtime())}-{secrets.token_hex(16)}"
