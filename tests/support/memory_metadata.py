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
    BlobRow,
    BlobState,
    Content,
    ListedDocument,
    Media,
    MediaQuery,
    SettingRow,
    SigningKey,
)
from tests.support.matching import matches
from tests.support.memory_accounts import MemoryAccountStore


class MemoryMetadataStore(MemoryAccountStore, MetadataStore):
    """Rows in memory. No method awaits, so each is atomic on its loop."""

    def __init__(self) -> None:
        super().__init__()
        self._media: dict[tuple[str, str], Media] = {}
        self._deleted: dict[tuple[str, str], int] = {}
        self._blobs: dict[tuple[str, str], BlobRow] = {}
        self._peaks: dict[tuple[str, str], bytes] = {}
        self._checked_ms: dict[str, int] = {}
        self._signing_keys: dict[str, SigningKey] = {}
        self._settings: dict[tuple[str, str, str], SettingRow] = {}
        self._settings_revision = 0

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
        if key in self._media:
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
        found = [each for each in self._live(account_id) if matches(each, query)]
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
        counts = Counter(each.language for each in self._live(account_id))
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
        ids = (each.id for each in self._live(account_id) if each.language == language)
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
    async def commit_content(self, media: Media, expected_revision: str, now_ms: int) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        new, old = _blob_keys(media), _blob_keys(current)
        self._make_live(new - old, media, now_ms)
        content = self._put_sounds(media, current)
        self._kill(self._rows(media.account_id, old - new), now_ms)
        self._put(replace(current, content=content), media)

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
    async def put_damage(self, media: Media, expected_revision: str) -> None:
        current = self._expect(media.account_id, media.id, expected_revision)
        self._put(replace(current, content=media.content), media)
        for each in media.content.renditions if media.content else ():
            row = self._blobs[media.account_id, each.blob_key]
            self._blobs[media.account_id, each.blob_key] = replace(row, is_damaged=each.is_damaged)

    @override
    async def add_signing_key(self, key: SigningKey) -> None:
        self._signing_keys.setdefault(key.kid, key)

    @override
    async def list_signing_keys(self) -> list[SigningKey]:
        return sorted(self._signing_keys.values(), key=lambda each: (-each.created_ms, each.kid))

    @override
    async def settings_revision(self) -> int:
        return self._settings_revision

    @override
    async def bump_settings_revision(self) -> None:
        self._settings_revision += 1

    @override
    async def list_settings(self) -> list[SettingRow]:
        return copy.deepcopy([row for _, row in sorted(self._settings.items())])

    @override
    async def put_setting(self, row: SettingRow) -> None:
        self._settings[row.category, row.scope, row.key] = copy.deepcopy(row)
        self._settings_revision += 1

    @override
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        self._settings.pop((category, scope, key), None)
        self._settings_revision += 1

    def _live(self, account_id: str) -> list[Media]:
        return [
            media
            for key, media in self._media.items()
            if key[0] == account_id and key not in self._deleted
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
        self._kill(self._rows(media.account_id, _blob_keys(media)), now_ms)

    def _rows(self, account_id: str, keys: set[str]) -> list[BlobRow]:
        return [self._blobs[account_id, key] for key in keys]

    def _kill(self, rows: Sequence[BlobRow], now_ms: int) -> None:
        for row in rows:
            self._blobs[row.account_id, row.key] = replace(
                row, state=BlobState.DEAD, touched_ms=now_ms
            )


def _blob_keys(media: Media) -> set[str]:
    return {each.blob_key for each in media.content.renditions} if media.content else set()
