"""What every metadata store promises of checks of blobs and of damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kazoo_media.errors import StaleRevisionError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Media, next_revision
from tests.contract.media_samples import (
    ACCOUNT,
    OTHER_ACCOUNT,
    keys_of,
    make_content,
    make_media,
    upload,
)


async def _uploaded(store: MetadataStore, media_id: str, now_ms: int) -> Media:
    media = make_media(media_id, name=media_id)
    await store.insert_media(media)
    return await upload(store, media, make_content(1), now_ms)


async def _unchecked(store: MetadataStore, before_ms: int, *, damaged: bool = False) -> list[str]:
    rows = await store.list_unchecked(before_ms, 100, damaged=damaged)
    return [each.key for each in rows]


def _damaged(media: Media, *, is_damaged: bool = True) -> Media:
    """Return the next revision of a media, whose normalized rendition is damaged or whole."""
    assert media.content is not None
    assert media.content.normalized is not None
    normalized = replace(media.content.normalized, is_damaged=is_damaged)
    return replace(
        media,
        content=replace(media.content, normalized=normalized),
        document={**media.document, "damaged": is_damaged},
        revision=next_revision(media.revision),
    )


class DamageRowsContract:
    """The promises of `DamageRows`."""

    async def test_live_blobs_are_unchecked_since_their_commit(self, store: MetadataStore) -> None:
        first, second = await _uploaded(store, "1", 2000), await _uploaded(store, "2", 3000)
        await store.begin_upload(ACCOUNT, ["c" * 32, "d" * 32], 1)
        await store.abandon_blobs(ACCOUNT, ["d" * 32], 2)
        assert first.content
        assert second.content
        assert await _unchecked(store, 2000) == []
        assert set(await _unchecked(store, 2001)) == set(keys_of(first.content))
        all_keys = await _unchecked(store, 3001)
        assert set(all_keys[:2]) == set(keys_of(first.content))
        assert set(all_keys[2:]) == set(keys_of(second.content))
        assert len(await store.list_unchecked(3001, 3, damaged=False)) == 3

    async def test_a_check_counts_from_then_on(self, store: MetadataStore) -> None:
        await _uploaded(store, "1", 2000)
        [row, other] = await store.list_unchecked(2001, 9, damaged=False)
        await store.put_checked([row], 5000)
        assert await _unchecked(store, 5000) == [other.key]
        assert await _unchecked(store, 5001) == [other.key, row.key]

    async def test_damage_is_in_document_rendition_and_row(self, store: MetadataStore) -> None:
        media = await _uploaded(store, "1", 2000)
        damaged = _damaged(media)
        await store.put_damage(damaged, media.revision)
        assert await store.get_media(ACCOUNT, "1") == damaged
        assert damaged.content
        [original, normalized] = [
            damaged.content.original.blob_key,
            keys_of(damaged.content)[0],
        ]
        assert {each.key: each.is_damaged for each in await store.list_blobs("", 9)} == {
            original: False,
            normalized: True,
        }
        assert await _unchecked(store, 2001, damaged=True) == [normalized]
        assert await _unchecked(store, 2001) == [original]
        whole = _damaged(damaged, is_damaged=False)
        await store.put_damage(whole, damaged.revision)
        assert await store.get_media(ACCOUNT, "1") == whole
        assert await _unchecked(store, 2001, damaged=True) == []

    async def test_new_content_is_whole(self, store: MetadataStore) -> None:
        media = await _uploaded(store, "1", 2000)
        await store.put_damage(damaged := _damaged(media), media.revision)
        saved = await upload(store, damaged, make_content(2), 4000)
        assert await store.get_media(ACCOUNT, "1") == saved
        assert await _unchecked(store, 9000, damaged=True) == []

    async def test_damage_of_a_changed_media_is_not_stored(self, store: MetadataStore) -> None:
        media = await _uploaded(store, "1", 2000)
        with pytest.raises(StaleRevisionError):
            await store.put_damage(_damaged(media), "1-0")
        assert await store.get_media(ACCOUNT, "1") == media
        assert await _unchecked(store, 9000, damaged=True) == []

    async def test_the_media_of_a_blob_is_found(self, store: MetadataStore) -> None:
        media = await _uploaded(store, "1", 2000)
        await _uploaded(store, "2", 2000)
        assert media.content
        for key in keys_of(media.content):
            assert await store.find_media(ACCOUNT, key) == media
            assert await store.find_media(OTHER_ACCOUNT, key) is None
        assert await store.find_media(ACCOUNT, "e" * 32) is None
        await store.soft_delete_media(ACCOUNT, "1", media.revision, 3000)
        assert await store.find_media(ACCOUNT, key) is None
