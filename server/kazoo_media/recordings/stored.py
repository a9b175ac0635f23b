"""Recordings that are complete: found by id, and listed by time."""

from __future__ import annotations

import re
from dataclasses import replace

from kazoo_media.access.accounts import PlayScope, ReadScope
from kazoo_media.documents.limits import check_filters
from kazoo_media.errors import MediaNotFoundError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Media, MediaQuery

_ID = re.compile(r"[0-9]{6}-[0-9a-f]{32}")

Place = tuple[int, str]
"""Where a recording is in a list: its created time in Unix milliseconds, and its id."""


class StoredRecordings:
    """The recordings of all accounts."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store

    async def get(self, scope: PlayScope, recording_id: str) -> Media:
        """Return a recording.

        Raises:
            MediaNotFoundError: it does not exist or was deleted; or it is another media.
            ForbiddenError: the caller only plays.
        """
        media = None
        if _ID.fullmatch(recording_id):
            media = await self._store.get_media(scope.account_id, recording_id)
        if media is None or not media.is_recording:
            raise MediaNotFoundError(recording_id)
        scope.check(media)
        return media

    async def list_page(
        self, scope: ReadScope, query: MediaQuery, start: Place | None
    ) -> tuple[list[Media], Place | None]:
        """Return a page, the newest first, and the place of the first recording after it.

        A page may have fewer than the limit before the last if its documents are large.

        Raises:
            ValidationError: the filters of the query have too much.
        """
        check_filters(query.filters)
        one_more = replace(query, limit=query.limit + 1)
        found = await self._store.list_recordings(scope.account_id, one_more, start)
        if len(found) > query.limit:
            return found[:-1], _place(found[-1])
        if len(found) > 1:
            # The store may have returned fewer than there are: the last begins another page.
            rest = await self._store.list_recordings(
                scope.account_id, replace(query, limit=2), _place(found[-1])
            )
            return found, next((_place(each) for each in rest if each.id != found[-1].id), None)
        return found, None


def _place(media: Media) -> Place:
    return media.created_ms, media.id
