"""What every metadata store promises of earlier contents and of restored media."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kazoo_media.errors import StaleRevisionError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import BlobState, Content, Keep, Media, MediaQuery, RenditionKind, save_count
from tests.contract.media_samples import (
    ACCOUNT,
    OTHER_ACCOUNT,
    keys_of,
    make_content,
    make_media,
    saved_with,
    upload,
)

_KEEP_3 = Keep(3, {"attachment_name": "before.wav"})


async def _live_keys(store: MetadataStore) -> set[str]:
    rows = await store.list_blobs("", 99)
    return {each.key for each in rows if each.state is BlobState.LIVE}


async def _with_contents(store: MetadataStore, number: int) -> tuple[Media, list[Content]]:
    """Return a media and the contents that it had and has, one upload after the other."""
    media = make_media(name="n")
    await store.insert_media(media)
    contents = [make_content(each + 1, normalized=each % 2 == 0) for each in range(number)]
    for content in contents:
        media = await upload(store, media, content, 1000 * media.modified_ms, _KEEP_3)
    return media, contents


def _keys(*contents: Content) -> set[str]:
    return {key for content in contents for key in keys_of(content)}


class VersionStoreContract:
    """The promises of `VersionStore`."""

    async def test_the_last_contents_are_kept(self, store: MetadataStore) -> None:
        media, contents = await _with_contents(store, 4)
        versions = await store.list_versions(ACCOUNT, "m")
        assert [each.content for each in versions] == [contents[2], contents[1]]
        last = save_count(media.revision)
        assert [each.number for each in versions] == [last - 1, last - 2]
        assert versions[0].outcome == {"attachment_name": "before.wav"}
        assert versions[0].replaced_ms == 1000 * (media.modified_ms - 1)
        assert await _live_keys(store) == _keys(*contents[1:])
        assert await store.list_versions(OTHER_ACCOUNT, "m") == []

    async def test_a_lower_number_counts_from_the_next_upload_on(
        self, store: MetadataStore
    ) -> None:
        media, _ = await _with_contents(store, 3)
        new = make_content(9)
        await upload(store, media, new)
        assert await store.list_versions(ACCOUNT, "m") == []
        assert await _live_keys(store) == _keys(new)

    async def test_another_rendition_of_the_same_original_makes_no_version(
        self, store: MetadataStore
    ) -> None:
        media, contents = await _with_contents(store, 3)
        assert media.content
        normalized = make_content(9).normalized
        assert normalized
        await store.begin_upload(ACCOUNT, [normalized.blob_key], 1)
        after = saved_with(media, replace(media.content, normalized=normalized))
        await store.commit_content(after, media.revision, 2)
        assert len(await store.list_versions(ACCOUNT, "m")) == 2
        assert _keys(contents[0], contents[1]) <= await _live_keys(store)

    async def test_a_version_and_the_content_change_places(self, store: MetadataStore) -> None:
        media, contents = await _with_contents(store, 3)
        oldest = (await store.list_versions(ACCOUNT, "m"))[-1]
        restored = saved_with(media, oldest.content)
        await store.restore_version(restored, media.revision, oldest.number, _KEEP_3, 7)
        assert await store.get_media(ACCOUNT, "m") == restored
        versions = await store.list_versions(ACCOUNT, "m")
        assert [each.content for each in versions] == [contents[2], contents[1]]
        assert await _live_keys(store) == _keys(*contents)

    async def test_what_is_not_there_is_not_restored(self, store: MetadataStore) -> None:
        media, contents = await _with_contents(store, 2)
        [version] = await store.list_versions(ACCOUNT, "m")
        restored = saved_with(media, version.content)
        for revision, number in ((media.revision, 99), ("1-0", version.number)):
            with pytest.raises(StaleRevisionError):
                await store.restore_version(restored, revision, number, _KEEP_3, 7)
        assert await store.get_media(ACCOUNT, "m") == media
        assert [each.content for each in await store.list_versions(ACCOUNT, "m")] == contents[:1]

    async def test_versions_go_with_their_media(self, store: MetadataStore) -> None:
        media, _ = await _with_contents(store, 3)
        await store.remove_media(ACCOUNT, "m", media.revision, 9)
        assert await _live_keys(store) == set()
        media, contents = await _with_contents(store, 3)
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 9)
        assert await _live_keys(store) == _keys(*contents)
        await store.purge_media(ACCOUNT, 9, 5, 9)
        assert await _live_keys(store) == set()
        assert await store.list_versions(ACCOUNT, "m") == []

    async def test_a_deleted_media_is_listed_and_made_live_again(
        self, store: MetadataStore
    ) -> None:
        media, _ = await _with_contents(store, 2)
        await store.insert_media(make_media("live", name="n"))
        assert await store.get_deleted_media(ACCOUNT, "m") is None
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 9)
        query = MediaQuery(limit=9, deleted=True)
        assert await store.list_media(ACCOUNT, query) == [media]
        assert [each.id for each in await store.list_documents(ACCOUNT, query)] == ["m"]
        assert await store.get_deleted_media(ACCOUNT, "m") == media
        restored = saved_with(media, media.content, name="again")
        with pytest.raises(StaleRevisionError):
            await store.restore_media(restored, "1-0")
        await store.restore_media(restored, media.revision)
        assert await store.get_media(ACCOUNT, "m") == restored
        assert len(await store.list_versions(ACCOUNT, "m")) == 1
        with pytest.raises(StaleRevisionError):
            await store.restore_media(restored, restored.revision)

    async def test_damage_of_a_version_and_of_a_deleted_media_is_seen(
        self, store: MetadataStore
    ) -> None:
        media, contents = await _with_contents(store, 2)
        for content in contents:
            key = content.original.blob_key
            await store.put_blob_damage(ACCOUNT, key, is_damaged=True)
        [version] = await store.list_versions(ACCOUNT, "m")
        assert version.content.original.is_damaged
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 9)
        deleted = await store.get_deleted_media(ACCOUNT, "m")
        assert deleted
        assert deleted.content
        assert deleted.content.is_damaged

    async def test_a_rendition_that_becomes_the_original_keeps_its_blob(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        old = make_content(1)
        media = await upload(store, media, old)
        assert old.normalized is not None
        kept = replace(old.normalized, kind=RenditionKind.ORIGINAL, normalization=None)
        saved = saved_with(media, Content(kept))
        await store.commit_content(saved, media.revision, 3000)
        assert await store.get_media(ACCOUNT, "m") == saved
        states = {each.key: each.state for each in await store.list_blobs("", 9)}
        assert states == {
            old.original.blob_key: BlobState.DEAD,
            kept.blob_key: BlobState.LIVE,
        }
