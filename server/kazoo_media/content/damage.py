"""Damage: which stored renditions are not those that were committed."""

from __future__ import annotations

from dataclasses import replace

import structlog

from kazoo_media.documents.rules import conversion_outcome, with_content_keys
from kazoo_media.errors import StaleRevisionError
from kazoo_media.metadata.store import DamageRows
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import Content, Media, Rendition, next_revision

_log = structlog.get_logger()


class Damage:
    """Stores in rows and documents, and counts, what checks of blobs have found."""

    def __init__(self, rows: DamageRows, metrics: Metrics = NO_METRICS) -> None:
        self._rows = rows
        self._metrics = metrics

    async def note(self, media: Media, key: str, *, is_damaged: bool) -> None:
        """Store and log whether a blob of a media is damaged.

        Nothing happens if that is known, or if the media now has other content.

        Raises:
            StorageFullError, StoreUnavailableError: nothing was stored.
        """
        found: Media | None = media
        while found is not None and (after := _noted(found, key, is_damaged=is_damaged)):
            try:
                await self._rows.put_damage(after, found.revision)
            except StaleRevisionError:
                found = await self._rows.find_media(media.account_id, key)
            else:
                _log_finding(found, key, is_damaged=is_damaged)
                if is_damaged:
                    self._metrics.damage_found()
                return

    async def note_blob(self, account_id: str, key: str, *, is_damaged: bool) -> str:
        """Do the same for a blob whose media is not known; return the id of its media.

        "": no live media has the blob.

        Raises:
            As `note`.
        """
        media = await self._rows.find_media(account_id, key)
        if media is None:
            # Of an earlier content, or of a deleted media: either may be restored.
            await self._rows.put_blob_damage(account_id, key, is_damaged=is_damaged)
            return ""
        await self.note(media, key, is_damaged=is_damaged)
        return media.id


def _noted(media: Media, key: str, *, is_damaged: bool) -> Media | None:
    """Return the media with the finding; None if that changes nothing."""
    rendition = _rendition(media, key)
    if media.content is None or rendition is None or rendition.is_damaged == is_damaged:
        return None
    changed = replace(rendition, is_damaged=is_damaged)
    content: Content = replace(media.content, **{str(rendition.kind): changed})
    document = with_content_keys(media.document, content, conversion_outcome(media.document))
    # A new revision, so that a change of the document that began before does not undo this.
    return replace(
        media, content=content, document=document, revision=next_revision(media.revision)
    )


def _rendition(media: Media, key: str) -> Rendition | None:
    renditions = media.content.renditions if media.content else ()
    return next((each for each in renditions if each.blob_key == key), None)


def _log_finding(media: Media, key: str, *, is_damaged: bool) -> None:
    rendition = _rendition(media, key)
    facts = {
        "account_id": media.account_id,
        "media_id": media.id,
        "rendition": str(rendition.kind) if rendition else "",
        "blob_key": key,
    }
    if is_damaged:
        _log.error("damaged audio found", **facts)
    else:
        _log.info("damaged audio is right again", **facts)
