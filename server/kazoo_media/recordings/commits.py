"""Commits: an upload that was ended becomes a media by the way of every upload.

Pieces and tail, read in order, are the source; raw samples get a WAV header with their true sizes
before the first of them. The transaction that makes the media live finishes the upload. A process
that dies before it has changed nothing, and anybody may commit again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kazoo_media.access.accounts import WriteScope
from kazoo_media.errors import (
    ContentMismatchError,
    MediaError,
    OverloadedError,
    QueueFullError,
    StorageFullError,
    StoreUnavailableError,
    UploadEndedError,
    UploadNotFoundError,
)
from kazoo_media.media.library import Library, Put
from kazoo_media.media.uploads import Declared, Finish, Source, Uploads
from kazoo_media.metadata.uploads import UploadRow, UploadState, UploadStore
from kazoo_media.model import KEEP_NONE, Keep, Media, unix_time_ms
from kazoo_media.recordings import states
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.pieces import Pieces
from kazoo_media.recordings.raw_audio import RawAudio
from kazoo_media.recordings.spec import Ending, UploadSpec
from kazoo_media.recordings.time_line import (
    Silence,
    Span,
    Stored,
    has_mask,
    layout,
    marks_of,
    public_time_line,
)
from kazoo_media.recordings.upload import Outcome

_PASSING = (OverloadedError, QueueFullError, StorageFullError, StoreUnavailableError)
"""After these the upload stays committing, and is committed again."""

_OWN_KEYS = ("channel_roles", "end_reason", "incomplete", "time_line", "upload_id")
_SILENCE_BYTES = 256 * 1024
_MOST_BYTES = 1 << 40


class _TooShortError(UploadEndedError):
    """The recording is shorter than its spec wants."""


class Commits:
    """Makes media of uploads."""

    def __init__(
        self,
        store: UploadStore,
        pieces: Pieces,
        uploads: Uploads,
        library: Library,
        archive: Archive,
    ) -> None:
        self._store = store
        self._archive = archive
        self._pieces = pieces
        self._uploads = uploads
        self._library = library
        self._running: dict[tuple[str, str], asyncio.Task[Outcome]] = {}

    async def commit(self, account_id: str, upload_id: str) -> Outcome:
        """Return what has become of an upload that was ended, once that is durable.

        Callers of this process share one commit, which continues if they are cancelled.

        Raises:
            UploadNotFoundError: it does not exist.
            UploadEndedError: it was not ended: it still waits for its recorder.
            ContentMismatchError: the digest of the finish does not match. It waits again.
            NotAudioError: it is a container of something else. It waits again.
            MediaError: a store failed; it stays committing.
        """
        key = account_id, upload_id
        if key not in self._running:
            task = asyncio.get_running_loop().create_task(self._commit(account_id, upload_id))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(self._running[key])

    async def aclose(self) -> None:
        """Return when no commit is running."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def _commit(self, account_id: str, upload_id: str) -> Outcome:
        row = await self._store.get_upload(account_id, upload_id)
        if row is None:
            raise UploadNotFoundError(upload_id)
        if row.state is not UploadState.COMMITTING:
            return await self._outcome(row)
        spec, ending = UploadSpec.from_json(row.spec), Ending.from_json(row.ending)
        if (spec.raw.whole(row.persisted_size) if spec.raw else row.persisted_size) == 0:
            return await self._discard(row)
        try:
            await self._make(row, spec, ending)
        except _TooShortError:
            return await self._discard(row)
        except _PASSING:
            raise
        except UploadEndedError:
            pass  # another process was faster
        except MediaError as error:
            change = partial(
                states.refused, epoch=row.epoch, error=error.message, now_ms=unix_time_ms()
            )
            await self._store.change_upload(account_id, upload_id, change)
            raise
        finished = await self._store.get_upload(account_id, upload_id) or row
        self._archive.soon(finished)
        return await self._outcome(finished)

    async def _outcome(self, row: UploadRow) -> Outcome:
        if row.state is UploadState.DISCARDED:
            return Outcome(row, None)
        if row.state is not UploadState.FINISHED:
            raise UploadEndedError(row.id, row.state)
        return Outcome(row, await self._library.get(_scope(row), row.media_id))

    async def _discard(self, row: UploadRow) -> Outcome:
        now_ms = unix_time_ms()
        change = partial(states.emptied, epoch=row.epoch, now_ms=now_ms)
        try:
            row = await self._store.discard_upload(row.account_id, row.id, change, now_ms)
        except UploadEndedError:  # another process was faster
            row = await self._store.get_upload(row.account_id, row.id) or row
        return await self._outcome(row)

    async def _make(self, row: UploadRow, spec: UploadSpec, ending: Ending) -> None:
        destination = _Destination(self._store, row, spec.min_duration_ms)
        scope = _scope(row)
        document = dict(spec.document or {})
        if spec.document is None:
            document = dict((await self._library.get(scope, row.media_id)).document)
        put = _put(row, spec, ending, document)
        upload = await self._uploads.begin_put(scope, put, destination)
        upload = replace(upload, limit_bytes=_MOST_BYTES)
        content_type = "audio/x-wav" if spec.raw else spec.content_type
        declared = Declared(content_type or None, normalizes=False)
        await upload.receive(declared, self._source(row, spec.raw, ending))

    def _source(self, row: UploadRow, raw: RawAudio | None, ending: Ending) -> Source:
        return self._container(row, ending) if raw is None else self._wav(row, raw, ending)

    async def _container(self, row: UploadRow, ending: Ending) -> Source:
        async for chunk in self._pieces.read(row.account_id, row.id, 0, row.persisted_size):
            yield chunk
        if ending.sha256:
            yield Finish(row.persisted_size, ending.sha256)

    async def _wav(self, row: UploadRow, raw: RawAudio, ending: Ending) -> Source:
        spans = layout(row.marks, row.persisted_size, raw)
        size = sum(each.size_bytes for each in spans)
        yield raw.wav_header(size)
        is_compared = ending.sha256 and not has_mask(row.marks)
        digest = hashlib.sha256() if is_compared else None
        for span in spans:
            async for chunk in self._span(row, raw, span):
                if digest is not None and isinstance(span, Stored):
                    digest.update(chunk)
                yield chunk
        if size % 2:
            yield b"\0"  # chunks of a WAV begin at even offsets
        if digest is not None:
            _check_digest(ending.sha256, digest.hexdigest())

    def _span(self, row: UploadRow, raw: RawAudio, span: Span) -> AsyncIterator[bytes]:
        if isinstance(span, Silence):
            return _silence(raw, span.size_bytes)
        return self._pieces.read(row.account_id, row.id, span.start, span.end)


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where the commit of an upload stores the media: with the end of the upload."""

    store: UploadStore
    row: UploadRow
    min_duration_ms: int

    async def insert_media(self, media: Media) -> None:
        """Store a new recording; see `MediaStore`."""
        await self._commit(replace(media, is_recording=True), None, KEEP_NONE)

    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep
    ) -> None:
        """Store the audio of an existing media; see `MediaStore`."""
        del now_ms  # it is the media's modified time
        await self._commit(media, expected_revision, keep)

    async def _commit(self, media: Media, expected_revision: str | None, keep: Keep) -> None:
        duration_ms = media.content.original.facts.duration_ms if media.content else None
        if duration_ms is not None and duration_ms < self.min_duration_ms:
            raise _TooShortError(self.row.id, "too short")
        change = partial(
            states.finished, epoch=self.row.epoch, media_id=media.id, now_ms=media.modified_ms
        )
        await self.store.commit_upload(change, self.row.id, media, expected_revision, keep)


def _put(row: UploadRow, spec: UploadSpec, ending: Ending, document: dict[str, Any]) -> Put:
    added = dict(ending.extra)
    if spec.document is not None:
        document.setdefault("language", None)
        document["media_source"] = "recording"
    own = _own_keys(row, spec, ending)

    def edit(media: Media) -> dict[str, Any]:
        current = media.document if spec.document is None else document
        kept = {key: value for key, value in current.items() if key not in _OWN_KEYS}
        return {**kept, **added, **own}

    data = {key: value for key, value in document.items() if key not in _OWN_KEYS}
    return Put(row.media_id, {**data, **added, **own}, edit, only_create=False)


def _own_keys(row: UploadRow, spec: UploadSpec, ending: Ending) -> dict[str, Any]:
    """Return the keys of the document that the service itself writes about a recording."""
    keys: dict[str, Any] = {"upload_id": row.id}
    if spec.raw is not None and spec.raw.channel_roles:
        keys["channel_roles"] = list(spec.raw.channel_roles)
    if spec.raw is not None and marks_of(row.marks):
        keys["time_line"] = public_time_line(row.marks, spec.raw)
    if not ending.is_complete:
        keys["incomplete"] = True
    if ending.reason:
        keys["end_reason"] = ending.reason
    return keys


def _check_digest(sent: str, received: str) -> None:
    if sent != received:
        raise ContentMismatchError(
            f"the received bytes have SHA-256 {received}, the finish says {sent}"
        )


def _scope(row: UploadRow) -> WriteScope:
    # The permission was proven when the upload was opened.
    return WriteScope(row.account_id)


async def _silence(raw: RawAudio, size_bytes: int) -> AsyncIterator[bytes]:
    block = raw.silence * min(size_bytes, _SILENCE_BYTES)
    while size_bytes > 0:
        yield block[:size_bytes]
        size_bytes -= len(block)
