"""Versions: earlier contents of media, and deleted media, can be put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kazoo_media.access.accounts import PlayScope, ReadScope, WriteScope
from kazoo_media.documents.rules import conversion_outcome, with_content_keys
from kazoo_media.errors import MediaNotFoundError, StaleRevisionError, VersionNotFoundError
from kazoo_media.media.library import Library
from kazoo_media.media.measuring import Measuring
from kazoo_media.metadata.version_store import VersionStore
from kazoo_media.model import Content, Keep, Media, Version, next_revision, unix_time_ms
from kazoo_media.settings import KEPT_VERSIONS, Settings


class Versions:
    """The earlier contents of all media."""

    def __init__(
        self, store: VersionStore, library: Library, settings: Settings, measuring: Measuring
    ) -> None:
        self._store = store
        self._library = library
        self._settings = settings
        self._measuring = measuring

    async def list(self, scope: ReadScope, media_id: str) -> list[Version]:
        """Return the earlier contents of a media, the newest first.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
        """
        media = await self._library.get(scope, media_id)
        return await self._store.list_versions(scope.account_id, media.id)

    async def content(self, scope: PlayScope, media_id: str, number: int) -> Content:
        """Return an earlier content of a media.

        Raises:
            VersionNotFoundError: the media has no such version.
        """
        return (await self._version(scope.account_id, media_id, number)).content

    async def put_back(self, scope: WriteScope, media_id: str, number: int) -> Media:
        """Make an earlier content the content of a media and return the media.

        The present content becomes a version.

        Raises:
            MediaNotFoundError: it does not exist or was deleted.
            VersionNotFoundError: it has no such version.
        """
        while True:
            current = await self._library.get(scope, media_id)
            version = await self._version(scope.account_id, media_id, number)
            now_ms = unix_time_ms()
            restored = _changed(current, version.content, version.outcome, now_ms)
            count = await self._settings.get(KEPT_VERSIONS)
            keep = Keep(count, conversion_outcome(current.document))
            try:
                await self._store.restore_version(restored, current.revision, number, keep, now_ms)
            except StaleRevisionError:
                continue
            self._measuring.soon(restored)
            return restored

    async def undelete(self, scope: WriteScope, media_id: str) -> Media:
        """Make a deleted media live again and return it.

        Raises:
            MediaNotFoundError: no deleted media has this id.
            ConflictError: it is a recording, and another one has its file name now.
        """
        while True:
            deleted = await self._store.get_deleted_media(scope.account_id, media_id)
            if deleted is None:
                raise MediaNotFoundError(media_id)
            outcome = conversion_outcome(deleted.document)
            restored = _changed(deleted, deleted.content, outcome, unix_time_ms())
            try:
                await self._store.restore_media(restored, deleted.revision)
            except StaleRevisionError:
                continue
            return restored

    async def _version(self, account_id: str, media_id: str, number: int) -> Version:
        for each in await self._store.list_versions(account_id, media_id):
            if each.number == number:
                return each
        raise VersionNotFoundError(media_id, number)


def _changed(
    media: Media, content: Content | None, outcome: Mapping[str, Any], now_ms: int
) -> Media:
    return replace(
        media,
        document=with_content_keys(media.document, content, outcome),
        revision=next_revision(media.revision),
        modified_ms=now_ms,
        content=content,
    )
