"""Recordings that a platform sends as whole files.

Theory of operation:

1. The bytes become a media by the way of every upload; nothing is staged. A file that does not
   arrive whole changes nothing.
2. The name of the file names the recording. The transaction that makes a file live replaces what
   the name stood for.
3. Each file has an upload row without bytes, which that transaction finishes: so a file is
   converted afterwards as any other recording is (`archive.py`). If the process dies before, the
   upkeep discards the row.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kazoo_media.access.accounts import ReadScope, WriteScope
from kazoo_media.errors import (
    ContentNotFoundError,
    MediaError,
    MediaNotFoundError,
    TooLargeError,
    UploadEndedError,
)
from kazoo_media.media.library import Change, Library, Put
from kazoo_media.media.uploads import Declared, Source, Uploads
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metadata.uploads import UploadRow, UploadState
from kazoo_media.model import KEEP_NONE, Keep, Media, unix_time_ms
from kazoo_media.recordings import states
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.recordings import MOST_OPEN_UPLOADS, new_recording_id
from kazoo_media.recordings.spec import UploadSpec

MOST_TEXT_BYTES = 16 * 1024
MOST_TEXTS = 10
"""Of one account; the oldest goes first."""


_FOREIGN_KEYS = ("id", "prompt_id", "tts")
"""Keys of other media, which a recorder cannot make of its file."""


class _SameBytesError(UploadEndedError):
    """The recording has these bytes already."""


class RecordingFiles:
    """The recordings of all accounts by the names of their files, and texts beside them."""

    def __init__(
        self, store: MetadataStore, uploads: Uploads, library: Library, archive: Archive
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._library = library
        self._archive = archive

    async def get(self, scope: ReadScope, file_name: str) -> Media:
        """Return the recording that has this file name.

        Raises:
            MediaNotFoundError: there is none.
        """
        media_id = await self._store.find_recording(scope.account_id, file_name)
        if media_id is None:
            raise MediaNotFoundError(file_name)
        return await self._library.get(scope, media_id)

    async def put(
        self,
        scope: WriteScope,
        file_name: str,
        document: Mapping[str, Any],
        declared: Declared,
        source: Source,
    ) -> Change:
        """Make a file the recording that has its name, durable and live; return the change.

        If the recording has the same bytes already, and they are not damaged, nothing changes, and
        the change has it twice.
        After an error or a cancellation, what the name stood for is unchanged.

        Args:
            scope: Has the account.
            file_name: The name.
            document: The document as the recorder wrote it; its `id`, `prompt_id` and `tts` are
                dropped.
            declared: What the recorder said about the bytes.
            source: The bytes.

        Raises:
            TooManyUploadsError: the account has too many open uploads.
            MediaError: as `Upload.receive`, or the document breaks rules.
        """
        new_id = new_recording_id()
        kept = {key: value for key, value in document.items() if key not in _FOREIGN_KEYS}
        document = {"language": None, **kept, "media_source": "recording"}

        async def look() -> Change:
            known = await self._store.find_recording(scope.account_id, file_name)
            put = Put(known or new_id, document, lambda _: document, only_create=False)
            return await self._library.change_of(scope, put)

        row = await self._begun(scope, new_id, file_name)
        destination = _Destination(self._store, row, file_name)
        try:
            upload = await self._uploads.begin_change(scope, look, destination)
            change = await upload.receive(replace(declared, normalizes=False), source)
        except _SameBytesError:
            await self._discard(row)
            media = await self.get(scope, file_name)
            return Change(media, media)
        except BaseException:
            await self._discard(row)
            raise
        finished = await self._store.get_upload(row.account_id, row.id)
        if finished is not None:
            self._archive.soon(finished)
        return change

    async def put_text(self, scope: WriteScope, name: str, data: bytes) -> None:
        """Store a text in place of the one that has the name.

        Raises:
            TooLargeError: it has more than MOST_TEXT_BYTES.
            ConflictError: a recording has the name.
        """
        if len(data) > MOST_TEXT_BYTES:
            raise TooLargeError(MOST_TEXT_BYTES)
        await self._store.put_text_file(scope.account_id, name, data, unix_time_ms(), MOST_TEXTS)

    async def get_text(self, scope: ReadScope, name: str) -> bytes:
        """Return a text.

        Raises:
            ContentNotFoundError: there is none.
        """
        data = await self._store.get_text_file(scope.account_id, name)
        if data is None:
            raise ContentNotFoundError(name)
        return data

    async def _begun(self, scope: WriteScope, media_id: str, file_name: str) -> UploadRow:
        """Return a new row that is open until the file is whole."""
        now_ms = unix_time_ms()
        row = UploadRow(
            account_id=scope.account_id,
            id=f"file-{secrets.token_hex(16)}",
            state=UploadState.RECEIVING,
            spec=UploadSpec(document={"name": file_name}).to_json(),
            media_id=media_id,
            created_ms=now_ms,
            touched_ms=now_ms,
        )
        return await self._store.open_upload(row, MOST_OPEN_UPLOADS, lambda known: known)

    async def _discard(self, row: UploadRow) -> None:
        now_ms = unix_time_ms()
        change = partial(states.discarded, if_touched_ms=None, now_ms=now_ms)
        with suppress(MediaError):  # it is gone, or the upkeep discards it later
            await self._store.discard_upload(row.account_id, row.id, change, now_ms)


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where a file stores its media: under its name, with the end of its upload."""

    store: MetadataStore
    row: UploadRow
    file_name: str

    async def insert_media(self, media: Media) -> None:
        """Store a new recording; see `MediaStore`."""
        named = replace(media, is_recording=True, file_name=self.file_name)
        await self._commit(named, None, KEEP_NONE)

    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep
    ) -> None:
        """Replace the audio of a recording unless it has the same bytes; see `MediaStore`."""
        del now_ms  # it is the media's modified time
        if not media.is_recording:
            raise AssertionError("a file must not replace other media than recordings")
        current = await self.store.get_media(media.account_id, media.id)
        if current is not None and _whole_digest(current) == _whole_digest(media):
            raise _SameBytesError(self.row.id, self.row.state)
        await self._commit(media, expected_revision, keep)

    async def _commit(self, media: Media, expected_revision: str | None, keep: Keep) -> None:
        def finished(row: UploadRow) -> UploadRow:
            # A file that took longer than the idle time has lost its row, but not its bytes.
            row = replace(row, state=UploadState.COMMITTING)
            return states.finished(row, row.epoch, media.id, media.modified_ms)

        await self.store.commit_upload(finished, self.row.id, media, expected_revision, keep)


def _whole_digest(media: Media) -> str | None:
    """Return the digest of the original; None: there is no content, or it is damaged."""
    if media.content is None or media.content.is_damaged:
        return None
    return media.content.original.sha256
