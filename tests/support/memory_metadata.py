"""A metadata store in dictionaries: the reference of the contract, for tests."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from kazoo_media.errors import (
    ConflictError,
    IncompleteUploadError,
    StaleRevisionError,
)
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import (
    KEEP_NONE,
    BlobRow,
    BlobState,
    Content,
    Keep,
    ListedDocument,
    Media,
    MediaQuery,
    Version,
    save_count,
)
from tests.support.matching import matches
from tests.support.memory_accounts import MemoryAccountStore
from tests.support.memory_recordings import MemoryRecordingStore
from tests.support.memory_settings import MemorySettingStore
from tests.support.memory_uploads import MemoryUploadStore


class MemoryMetadataStore(
    MemoryAccountStore,
    MemoryRecordingStore,
    MemorySettingStore,
    MemoryUploadStore,
    MetadataStore,
):
    """Rows in memory. No method awaits, so each is atomic on its loop."""

    def __init__(self) -> None:
        MemoryAccountStore.__init__(self)
        MemoryRecordingStore.__init__(self)
        MemorySettingStore.__init__(self)
        MemoryUploadStore.__init__(self)
        self._media: dict[tuple[str, str], Media] = {}
        self._deleted: dict[tuple[str, str], int] = {}
        self._versions: dict[tuple[str, str], list[Version]] = {}
        self._peaks: dict[tuple[str, str], bytes] = {}
        self._checked_ms: dict[str, int] = {}

    @override
    async def aclose(self) -> None:
        pass

    @override
    async def get_media(self, account_id: str, media_id: str) -> Media | None:
        key = (account_id, media_id)
        return None if key in self._deleted else copy.deepcopy(self._media.get(key))

    @override
    async def insert_media(self, media: Media) -> None:
        key = (media.account_id, media.id)
        if key in self._media or await self.find_recording(media.account_id, media.file_name):
            raise ConflictError(media.id)
        self._make_live(_blob_keys(media), media, media.created_ms)
        self._media[key] = copy.deepcopy(media)

    @override
    async def replace_document(self, media: Media, expected_revision: str) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        self._put(current, media)

    @override
    async def soft_delete_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        self._expect(account_id, media_id, expected_revision)
        self._deleted[account_id, media_id] = now_ms

    @override
    async def remove_media(
        self, account_id: str, media_id: str, expected_revision: str, now_ms: int
    ) -> None:
        current = self._expect(account_id, media_id, expected_revision)
        self._kill_content(current, now_ms)
        del self._media[account_id, media_id]

    @override
    async def purge_media(
        self, account_id: str, deleted_until_ms: int, limit: int, now_ms: int
    ) -> int:
        purged = [
            key
            for key, deleted_ms in sorted(self._deleted.items(), key=lambda each: each[::-1])
            if deleted_ms <= deleted_until_ms and account_id == key[0]
        ][:limit]
        for key in purged:
            del self._deleted[key]
            self._kill_content(self._media.pop(key), now_ms)
        return len(purged)

    @override
    async def list_media(self, account_id: str, query: MediaQuery) -> list[Media]:
        found = [
            each for each in self._live(account_id, deleted=query.deleted) if matches(each, query)
        ]
        found.sort(key=lambda each: each.id, reverse=query.descending)
        return copy.deepcopy(found[: query.limit])

    @override
    async def list_documents(self, account_id: str, query: MediaQuery) -> list[ListedDocument]:
        found = await self.list_media(account_id, query)
        return [ListedDocument(each.id, each.document) for each in found]

    @override
    async def count_prompts(self, account_id: str, start: str, limit: int) -> list[tuple[str, int]]:
        counts = Counter(
            each.prompt_id
            for each in self._live(account_id)
            if each.prompt_id is not None and each.prompt_id >= start
        )
        return sorted(counts.items())[:limit]

    @override
    async def count_languages(self, account_id: str) -> list[tuple[str | None, int]]:
        live = self._live(account_id)
        counts = Counter(each.language for each in live if not each.is_recording)
        return sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or ""))

    @override
    async def list_translations(
        self, account_id: str, prompt_id: str, start: str, limit: int
    ) -> list[tuple[str, bool]]:
        found = (each for each in self._live(account_id) if each.prompt_id == prompt_id)
        rows = ((each.id, each.content is not None) for each in found if each.id >= start)
        return sorted(rows)[:limit]

    @override
    async def list_language_ids(
        self, account_id: str, language: str | None, start: str, limit: int
    ) -> list[str]:
        ids = (
            each.id
            for each in self._live(account_id)
            if each.language == language and not each.is_recording
        )
        return sorted(each for each in ids if each >= start)[:limit]

    @override
    async def begin_upload(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        for key in keys:
            self._blobs[account_id, key] = BlobRow(account_id, key, BlobState.PENDING, now_ms)

    @override
    async def touch_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> None:
        for row in self._pending(account_id, keys):
            self._blobs[account_id, row.key] = replace(row, touched_ms=now_ms)

    @override
    async def commit_content(
        self, media: Media, expected_revision: str, now_ms: int, keep: Keep = KEEP_NONE
    ) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        new, old = _blob_keys(media), _blob_keys(current)
        self._make_live(new - old, media, now_ms)
        content = self._put_sounds(media, current)
        if _original(media) == _original(current):
            self._kill(self._rows(media.account_id, old - new), now_ms)
        else:
            shared = self._rows(media.account_id, new & old)
            self._replace_content(current, keep, now_ms)
            self._blobs |= {(each.account_id, each.key): each for each in shared}
        self._put(replace(current, content=content), media)

    @override
    async def list_versions(self, account_id: str, media_id: str) -> list[Version]:
        kept = self._versions.get((account_id, media_id), [])
        return [replace(each, content=self._seen(account_id, each.content)) for each in kept]

    @override
    async def restore_version(
        self, media: Media, expected_revision: str, number: int, keep: Keep, now_ms: int
    ) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        versions = self._versions.get((media.account_id, media.id), [])
        wanted = [each for each in versions if each.number == number]
        if not wanted:
            raise StaleRevisionError(media.id)
        versions.remove(wanted[0])
        self._replace_content(current, keep, now_ms)
        self._put(replace(current, content=media.content), media)

    @override
    async def get_deleted_media(self, account_id: str, media_id: str) -> Media | None:
        key = (account_id, media_id)
        media = self._media[key] if key in self._deleted else None
        if media is None or media.content is None:
            return copy.deepcopy(media)
        return copy.deepcopy(replace(media, content=self._seen(account_id, media.content)))

    @override
    async def restore_media(self, media: Media, expected_revision: str) -> None:
        key = (media.account_id, media.id)
        named = await self.find_recording(media.account_id, media.file_name)
        if named not in (None, media.id):
            raise ConflictError(media.file_name)
        if key not in self._deleted or self._media[key].revision != expected_revision:
            raise StaleRevisionError(media.id)
        del self._deleted[key]
        self._put(replace(self._media[key], content=media.content), media)

    @override
    async def abandon_blobs(self, account_id: str, keys: Sequence[str], now_ms: int) -> list[str]:
        pending = self._pending(account_id, keys)
        self._kill(pending, now_ms)
        return [row.key for row in pending]

    @override
    async def expire_pending(self, untouched_since_ms: int, now_ms: int) -> int:
        expired = self._untouched(BlobState.PENDING, untouched_since_ms)
        self._kill(expired, now_ms)
        return len(expired)

    @override
    async def list_dead(self, untouched_since_ms: int, limit: int) -> list[BlobRow]:
        return self._untouched(BlobState.DEAD, untouched_since_ms)[:limit]

    @override
    async def get_peaks(self, account_id: str, key: str) -> bytes | None:
        return self._peaks.get((account_id, key))

    @override
    async def put_measured(self, media: Media, known: Mapping[str, Any]) -> None:
        current = self._expect(media.account_id, media.id, media.revision)
        if current.document != known:
            raise StaleRevisionError(media.id)
        content = self._put_sounds(media, current)
        document = copy.deepcopy(media.document)
        self._media[media.account_id, media.id] = replace(
            current, content=content, document=document
        )

    @override
    async def forget_blobs(self, rows: Sequence[BlobRow]) -> None:
        for row in rows:
            known = self._blobs.get((row.account_id, row.key))
            if known is not None and known.state is BlobState.DEAD:
                del self._blobs[row.account_id, row.key]
                self._peaks.pop((row.account_id, row.key), None)

    @override
    async def list_blobs(self, start: str, limit: int) -> list[BlobRow]:
        rows = [each for each in self._blobs.values() if each.key > start]
        return sorted(rows, key=lambda each: each.key)[:limit]

    @override
    async def list_unchecked(
        self, checked_before_ms: int, limit: int, *, damaged: bool
    ) -> list[BlobRow]:
        def checked_ms(row: BlobRow) -> int:
            return self._checked_ms.get(row.key, row.touched_ms)

        rows = [
            each
            for each in self._blobs.values()
            if each.state is BlobState.LIVE
            and each.is_damaged == damaged
            and checked_ms(each) < checked_before_ms
        ]
        return sorted(rows, key=checked_ms)[:limit]

    @override
    async def put_checked(self, rows: Sequence[BlobRow], now_ms: int) -> None:
        self._checked_ms.update({each.key: now_ms for each in rows})

    @override
    async def find_media(self, account_id: str, key: str) -> Media | None:
        found = (each for each in self._live(account_id) if key in _blob_keys(each))
        return copy.deepcopy(next(found, None))

    @override
    async def put_blob_damage(self, account_id: str, key: str, *, is_damaged: bool) -> None:
        row = self._blobs[account_id, key]
        self._blobs[account_id, key] = replace(row, is_damaged=is_damaged)

    @override
    async def put_damage(self, media: Media, expected_revision: str) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        self._put(replace(current, content=media.content), media)
        for each in media.content.renditions if media.content else ():
            row = self._blobs[media.account_id, each.blob_key]
            self._blobs[media.account_id, each.blob_key] = replace(row, is_damaged=each.is_damaged)

    def _live(self, account_id: str, *, deleted: bool = False) -> list[Media]:
        return [
            media
            for key, media in self._media.items()
            if key[0] == account_id and (key in self._deleted) == deleted
        ]

    def _expect(self, account_id: str, media_id: str, revision: str) -> Media:
        key = (account_id, media_id)
        media = None if key in self._deleted else self._media.get(key)
        if media is None or media.revision != revision:
            raise StaleRevisionError(media_id)
        return media

    def _put(self, current: Media, saved: Media) -> None:
        self._media[current.account_id, current.id] = replace(
            current,
            document=copy.deepcopy(saved.document),
            revision=saved.revision,
            modified_ms=saved.modified_ms,
        )

    def _pending(self, account_id: str, keys: Sequence[str]) -> list[BlobRow]:
        rows = (self._blobs.get((account_id, key)) for key in keys)
        return [row for row in rows if row is not None and row.state is BlobState.PENDING]

    def _untouched(self, state: BlobState, since_ms: int) -> list[BlobRow]:
        return [
            row for row in self._blobs.values() if row.state is state and row.touched_ms < since_ms
        ]

    def _make_live(self, keys: set[str], media: Media, now_ms: int) -> None:
        renditions = media.content.renditions if media.content else ()
        if len(self._pending(media.account_id, list(keys))) != len(keys):
            raise IncompleteUploadError("the upload was idle for too long and was discarded")
        for each in renditions:
            if each.blob_key not in keys:
                continue
            self._blobs[media.account_id, each.blob_key] = BlobRow(
                media.account_id,
                each.blob_key,
                BlobState.LIVE,
                now_ms,
                each.size_bytes,
                each.sha256,
            )
            if each.peaks is not None:
                self._peaks[media.account_id, each.blob_key] = each.peaks

    def _put_sounds(self, media: Media, current: Media) -> Content | None:
        """Return the content of a media; known facts of a blob are kept."""
        before, content = current.content, media.content
        known = {each.blob_key: each for each in before.renditions} if before else {}
        for each in content.renditions if content else ():
            if each.peaks is not None:
                self._peaks.setdefault((media.account_id, each.blob_key), each.peaks)
            if each.facts.clipped_samples is None and each.blob_key in known and content:
                facts = known[each.blob_key].facts
                content = replace(content, **{str(each.kind): replace(each, facts=facts)})
        return content

    def _kill_content(self, media: Media, now_ms: int) -> None:
        """Kill the blobs of a media and of its versions, which are removed."""
        self._replace_content(media, KEEP_NONE, now_ms)

    def _replace_content(self, current: Media, keep: Keep, now_ms: int) -> None:
        """Make the content of a media a version, or kill it; kill the oldest versions."""
        kept = self._versions.setdefault((current.account_id, current.id), [])
        if current.content is not None:
            number = save_count(current.revision)
            kept.insert(0, Version(number, current.content, dict(keep.outcome), now_ms))
            kept.sort(key=lambda each: -each.number)
        for each in kept[keep.count - 1 :]:
            keys = {rendition.blob_key for rendition in each.content.renditions}
            self._kill(self._rows(current.account_id, keys), now_ms)
        del kept[keep.count - 1 :]

    def _seen(self, account_id: str, content: Content) -> Content:
        """Return a content with what is known about the damage of its blobs."""
        for each in content.renditions:
            is_damaged = self._blobs[account_id, each.blob_key].is_damaged
            content = replace(content, **{str(each.kind): replace(each, is_damaged=is_damaged)})
        return content

    def _rows(self, account_id: str, keys: set[str]) -> list[BlobRow]:
        return [self._blobs[account_id, key] for key in keys]

    def _kill(self, rows: Sequence[BlobRow], now_ms: int) -> None:
        for row in rows:
            self._blobs[row.account_id, row.key] = replace(
                row, state=BlobState.DEAD, touched_ms=now_ms
            )


def _original(media: Media) -> str:
    return media.content.original.blob_key if media.content else ""


def _blob_keys(media: Media) -> set[str]:
    return {each.blob_key for each in media.content.renditions} if media.content else set()
