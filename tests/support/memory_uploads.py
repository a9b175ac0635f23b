"""Uploads in dictionaries: a part of the metadata store for tests."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from kazoo_media.errors import MediaError, TooManyUploadsError, UploadNotFoundError
from kazoo_media.metadata.store import MediaStore
from kazoo_media.metadata.uploads import (
    OPEN_STATES,
    OpenUploads,
    Piece,
    TailAppend,
    UploadChange,
    UploadRow,
    UploadState,
    UploadStore,
)
from kazoo_media.model import KEEP_NONE, BlobRow, BlobState, Keep, Media

_Key = tuple[str, str]


class MemoryUploadStore(MediaStore, UploadStore):
    """Uploads in memory. No method awaits, so each is atomic on its loop."""

    @abstractmethod  # this is a part of a driver
    def __init__(self) -> None:
        self._blobs: dict[_Key, BlobRow] = {}
        self._uploads: dict[_Key, UploadRow] = {}
        self._pieces: dict[_Key, list[Piece]] = {}
        self._tails: dict[_Key, bytes] = {}

    @override
    async def open_upload(self, new: UploadRow, limit: int, change: UploadChange) -> UploadRow:
        key = new.account_id, new.id
        if key in self._uploads:
            return self._change(key, change)
        opened = [
            each
            for each in self._uploads.values()
            if each.account_id == new.account_id and each.state in OPEN_STATES
        ]
        if len(opened) >= limit:
            raise TooManyUploadsError(limit)
        self._uploads[key] = new
        return new

    @override
    async def get_upload(self, account_id: str, upload_id: str) -> UploadRow | None:
        return self._uploads.get((account_id, upload_id))

    @override
    async def list_uploads(self, account_id: str, start: str, limit: int) -> list[UploadRow]:
        found = [
            each
            for each in self._uploads.values()
            if each.account_id == account_id and each.id >= start
        ]
        return sorted(found, key=lambda each: each.id)[:limit]

    @override
    async def list_idle_uploads(
        self, touched_before_ms: int, after: tuple[str, str], limit: int
    ) -> list[UploadRow]:
        found = [
            each
            for key, each in sorted(self._uploads.items())
            if key > after
            and (each.state in OPEN_STATES or each.is_archiving)
            and each.touched_ms < touched_before_ms
        ]
        return found[:limit]

    @override
    async def count_open_uploads(self) -> OpenUploads:
        found = [each for each in self._uploads.values() if each.state in OPEN_STATES]
        counts = Counter(each.state.value for each in found)
        states = {each.value: counts[each.value] for each in OPEN_STATES}
        tail_bytes = sum(each.persisted_size - each.pieces_end for each in found)
        waiting = [each.touched_ms for each in found if each.state is UploadState.INTERRUPTED]
        return OpenUploads(states, tail_bytes, min(waiting, default=None))

    @override
    async def change_upload(
        self, account_id: str, upload_id: str, change: UploadChange
    ) -> UploadRow:
        return self._change((account_id, upload_id), change)

    @override
    async def append_tails(self, appends: Sequence[TailAppend]) -> list[UploadRow | MediaError]:
        return [self._append(each) for each in appends]

    @override
    async def read_upload(
        self, account_id: str, upload_id: str, offset: int, limit_bytes: int
    ) -> Piece | bytes:
        key = account_id, upload_id
        for piece in self._pieces.get(key, ()):
            if piece.offset <= offset < piece.offset + piece.size_bytes:
                return piece
        row = self._uploads.get(key)
        begin = 0 if row is None else offset - row.pieces_end
        return self._tails.get(key, b"")[begin : begin + limit_bytes]

    @override
    async def add_piece(self, piece: Piece, now_ms: int) -> bool:
        key = piece.account_id, piece.upload_id
        row = self._uploads.get(key)
        blob = self._blobs.get((piece.account_id, piece.blob_key))
        tail = self._tails.get(key, b"")
        if (
            row is None
            or row.pieces_end != piece.offset
            or len(tail) < piece.size_bytes
            or blob is None
            or blob.state is not BlobState.PENDING
        ):
            return False
        self._blobs[piece.account_id, piece.blob_key] = replace(
            blob,
            state=BlobState.LIVE,
            touched_ms=now_ms,
            size_bytes=piece.size_bytes,
            sha256=piece.sha256,
        )
        self._pieces.setdefault(key, []).append(piece)
        self._tails[key] = tail[piece.size_bytes :]
        self._uploads[key] = replace(row, pieces_end=piece.offset + piece.size_bytes)
        return True

    @override
    async def commit_upload(
        self,
        change: UploadChange,
        upload_id: str,
        media: Media,
        expected_revision: str | None,
        keep: Keep = KEEP_NONE,
    ) -> None:
        key = media.account_id, upload_id
        changed = change(self._expected(key))
        if expected_revision is None:
            await self.insert_media(media)
        else:
            await self.commit_content(media, expected_revision, media.modified_ms, keep)
        self._uploads[key] = changed
        self._remove_bytes(key, media.modified_ms)

    @override
    async def discard_upload(
        self, account_id: str, upload_id: str, change: UploadChange, now_ms: int
    ) -> UploadRow:
        key = account_id, upload_id
        changed = self._change(key, change)
        self._remove_bytes(key, now_ms)
        return changed

    @override
    async def forget_uploads(self, touched_before_ms: int) -> int:
        old = [
            key
            for key, each in self._uploads.items()
            if each.state not in OPEN_STATES and each.touched_ms < touched_before_ms
        ]
        for key in old:
            del self._uploads[key]
        return len(old)

    def _expected(self, key: _Key) -> UploadRow:
        if key not in self._uploads:
            raise UploadNotFoundError(key[1])
        return self._uploads[key]

    def _change(self, key: _Key, change: UploadChange) -> UploadRow:
        self._uploads[key] = change(self._expected(key))
        return self._uploads[key]

    def _append(self, append: TailAppend) -> UploadRow | MediaError:
        key = append.account_id, append.upload_id
        try:
            row = self._expected(key)
            changed, data = append.change(replace(row, spec=""))
        except MediaError as error:
            return error
        self._uploads[key] = replace(changed, spec=row.spec)
        self._tails[key] = self._tails.get(key, b"") + data
        return changed

    def _remove_bytes(self, key: _Key, now_ms: int) -> None:
        self._tails.pop(key, None)
        for piece in self._pieces.pop(key, ()):
            blob = self._blobs[key[0], piece.blob_key]
            self._blobs[key[0], piece.blob_key] = replace(
                blob, state=BlobState.DEAD, touched_ms=now_ms
            )
