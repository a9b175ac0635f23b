"""What every metadata store promises of recordings that are complete."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kazoo_media.errors import ConflictError, StaleRevisionError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import Filter, FilterOperator, MediaQuery, first_revision
from tests.contract.media_samples import ACCOUNT, OTHER_ACCOUNT, make_media


class RecordingStoreContract:
    """The promises of `RecordingStore`."""

    async def test_recordings_are_listed_newest_first(self, store: MetadataStore) -> None:
        await store.insert_media(make_media("no recording", n=1))
        revision = first_revision()
        for number, name in enumerate(["b", "a", "d", "c", "deleted"]):
            media = replace(make_media(name, n=number % 2), revision=revision)
            await store.insert_media(replace(media, created_ms=number // 2, is_recording=True))
        await store.soft_delete_media(ACCOUNT, "deleted", revision, 5000)
        await store.insert_media(replace(make_media("x", OTHER_ACCOUNT), is_recording=True))

        async def ids(query: MediaQuery, start: tuple[int, str] | None = None) -> list[str]:
            return [each.id for each in await store.list_recordings(ACCOUNT, query, start)]

        assert await ids(MediaQuery(9)) == ["d", "c", "b", "a"]
        assert await ids(MediaQuery(2), (1, "c")) == ["c", "b"]
        assert await ids(MediaQuery(9), (0, "gone")) == ["b", "a"]
        assert await ids(MediaQuery(9, created_to_ms=0)) == ["b", "a"]
        condition = Filter(("n",), FilterOperator.EQUALS, ("1",))
        assert await ids(MediaQuery(9, filters=(condition,))) == ["c", "a"]

    async def test_a_file_name_belongs_to_one_live_recording(self, store: MetadataStore) -> None:
        first = replace(make_media("first"), is_recording=True, file_name="a.mp3")
        await store.insert_media(first)
        assert await store.get_media(ACCOUNT, "first") == first
        with pytest.raises(ConflictError):
            await store.insert_media(replace(first, id="second"))
        await store.insert_media(replace(first, account_id=OTHER_ACCOUNT, id="other"))
        assert await store.find_recording(ACCOUNT, "a.mp3") == "first"
        assert await store.find_recording(ACCOUNT, "") is None
        await store.soft_delete_media(ACCOUNT, "first", first.revision, 5000)
        assert await store.find_recording(ACCOUNT, "a.mp3") is None
        await store.insert_media(replace(first, id="second"))
        assert await store.find_recording(ACCOUNT, "a.mp3") == "second"
        with pytest.raises(ConflictError):
            await store.restore_media(first, first.revision)
        assert await store.get_deleted_media(ACCOUNT, "first") == first
        await store.soft_delete_media(ACCOUNT, "second", first.revision, 5000)
        await store.restore_media(first, first.revision)
        assert await store.find_recording(ACCOUNT, "a.mp3") == "first"
        with pytest.raises(StaleRevisionError):
            await store.restore_media(first, first.revision)

    async def test_a_text_does_not_take_the_name_of_a_recording(self, store: MetadataStore) -> None:
        media = replace(make_media("m"), is_recording=True, file_name="a")
        await store.insert_media(media)
        with pytest.raises(ConflictError):
            await store.put_text_file(ACCOUNT, "a", b"text", 1, 2)
        assert await store.get_text_file(ACCOUNT, "a") is None
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 5000)
        await store.put_text_file(ACCOUNT, "a", b"text", 1, 2)
        assert await store.get_text_file(ACCOUNT, "a") == b"text"

    async def test_the_newest_texts_of_an_account_are_kept(self, store: MetadataStore) -> None:
        for number, name in enumerate(["a", "b", "a", "c"]):
            data = str(number).encode()
            await store.put_text_file(ACCOUNT, name, data, number, 2)
        await store.put_text_file(OTHER_ACCOUNT, "b", b"other", 0, 2)
        found = [await store.get_text_file(ACCOUNT, name) for name in "abc"]
        assert found == [b"2", None, b"3"]
