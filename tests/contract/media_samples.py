"""Media, contents and uploads to put into a store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kazoo_media.blobs.store import new_blob_key
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import (
    KEEP_NONE,
    AudioFacts,
    Content,
    Keep,
    Media,
    Rendition,
    RenditionKind,
    first_revision,
    next_revision,
)

ACCOUNT = "a" * 32
OTHER_ACCOUNT = "b" * 32


def make_media(media_id: str = "m", account_id: str = ACCOUNT, **document: Any) -> Media:
    """Return a media without content, made and modified at 1000."""
    return Media(account_id, media_id, document, first_revision(), 1000, 1000)


def make_content(number: int, *, normalized: bool = True) -> Content:
    """Return a content of new keys, in whose every rendition the number can be seen."""
    facts = AudioFacts(number, 8000, 1, "mp3", -19.25 - number, -1.5, number)
    original = Rendition(
        RenditionKind.ORIGINAL, new_blob_key(), "audio/mpeg", number, f"{number:064x}", facts
    )
    if not normalized:
        return Content(original)
    return Content(
        original,
        replace(
            original,
            kind=RenditionKind.NORMALIZED,
            blob_key=new_blob_key(),
            content_type="audio/wav",
            facts=AudioFacts(),
            normalization=f"kazoo mp3 {number}",
        ),
    )


def keys_of(content: Content) -> list[str]:
    """Return the blob keys of a content."""
    return [each.blob_key for each in content.renditions]


async def upload(
    store: MetadataStore,
    media: Media,
    content: Content,
    now_ms: int = 2000,
    keep: Keep = KEEP_NONE,
    **document: Any,
) -> Media:
    """Return the media as it is after a whole upload."""
    await store.begin_upload(media.account_id, keys_of(content), now_ms)
    saved = saved_with(media, content, **document)
    await store.commit_content(saved, media.revision, now_ms, keep)
    return saved


def saved_with(media: Media, content: Content | None, **document: Any) -> Media:
    """Return the next revision of a media."""
    return replace(
        media,
        document={**media.document, **document},
        content=content,
        revision=next_revision(media.revision),
        modified_ms=media.modified_ms + 1,
    )
