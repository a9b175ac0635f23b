"""What every metadata store promises of documents."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kazoo_media.errors import ConflictError, IncompleteUploadError, StaleRevisionError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import (
    BlobState,
    MediaQuery,
    next_revision,
)
from tests.contract.media_samples import (
    ACCOUNT,
    OTHER_ACCOUNT,
    keys_of,
    make_content,
    make_media,
    saved_with,
    upload,
)
from tests.contract.metadata_filters import FilterContract

# The last two: UTF-16 would sort the astral one first.
ODD_IDS = ["", " ", "%2F", "A", "a", "a\nb", "a/b", "aa", "en-us/x", "é", "\uffee", "\U0001f600"]
DOCUMENT: dict[str, Any] = {
    "name": "Ärger \U0001f600 'x' \"y\"",
    "n": 18446744073709551615,
    "f": 0.1,
    "nothing": None,
    "on": True,
    "deep": {"list": [1, {"a": []}], "": "empty key", 'a"b.c[0]': 2},
}


class MediaStoreContract(FilterContract):
    """The promises of `MediaStore`: get, insert, replace, delete, list, count."""

    async def test_an_inserted_media_is_read_back_whole(self, store: MetadataStore) -> None:
        media = make_media("en-us/hello", **DOCUMENT, language="en-US", prompt_id="hello")
        await store.insert_media(media)
        assert await store.get_media(ACCOUNT, "en-us/hello") == media

    async def test_a_media_appears_together_with_its_content(self, store: MetadataStore) -> None:
        content = make_content(1)
        await store.begin_upload(ACCOUNT, keys_of(content), 500)
        media = replace(make_media(), content=content)
        await store.insert_media(media)
        assert await store.get_media(ACCOUNT, "m") == media
        rows = await store.list_blobs("", 9)
        assert {(each.state, each.touched_ms) for each in rows} == {(BlobState.LIVE, 1000)}

    async def test_a_media_whose_blobs_are_lost_does_not_appear(self, store: MetadataStore) -> None:
        content = make_content(1)
        keys = keys_of(content)
        await store.begin_upload(ACCOUNT, keys, 500)
        await store.abandon_blobs(ACCOUNT, keys[:1], 600)
        with pytest.raises(IncompleteUploadError):
            await store.insert_media(replace(make_media(), content=content))
        assert await store.get_media(ACCOUNT, "m") is None
        states = {each.key: each.state for each in await store.list_blobs("", 9)}
        assert states == {keys[0]: BlobState.DEAD, keys[1]: BlobState.PENDING}

    async def test_a_conflict_leaves_the_blobs_pending(self, store: MetadataStore) -> None:
        await store.insert_media(make_media())
        content = make_content(1)
        await store.begin_upload(ACCOUNT, keys_of(content), 500)
        with pytest.raises(ConflictError):
            await store.insert_media(replace(make_media(), content=content))
        assert {each.state for each in await store.list_blobs("", 9)} == {BlobState.PENDING}

    async def test_a_media_of_another_account_is_not_found(self, store: MetadataStore) -> None:
        await store.insert_media(make_media("m", ACCOUNT))
        assert await store.get_media(OTHER_ACCOUNT, "m") is None
        assert await store.get_media(ACCOUNT, "M") is None

    async def test_an_id_is_taken_once_in_an_account(self, store: MetadataStore) -> None:
        first = make_media("m", name="first")
        await store.insert_media(first)
        with pytest.raises(ConflictError):
            await store.insert_media(make_media("m", name="second"))
        await store.insert_media(make_media("m", OTHER_ACCOUNT))
        assert await store.get_media(ACCOUNT, "m") == first

    async def test_of_many_racing_inserts_exactly_one_wins(self, store: MetadataStore) -> None:
        racers = [make_media("m", number=number) for number in range(20)]
        results = await asyncio.gather(
            *(store.insert_media(each) for each in racers), return_exceptions=True
        )
        winners = [racers[at] for at, result in enumerate(results) if result is None]
        assert len(winners) == 1
        assert sum(isinstance(each, ConflictError) for each in results) == 19
        assert await store.get_media(ACCOUNT, "m") == winners[0]

    async def test_a_failed_write_does_not_hurt_writes_beside_it(
        self, store: MetadataStore
    ) -> None:
        await store.insert_media(make_media("taken"))
        ids = [f"{number:02}" for number in range(20)]
        results = await asyncio.gather(
            *(store.insert_media(make_media(each)) for pair in ids for each in (pair, "taken")),
            return_exceptions=True,
        )
        assert results[0::2] == [None] * 20
        assert all(isinstance(each, ConflictError) for each in results[1::2])
        listed = await store.list_media(ACCOUNT, MediaQuery(100))
        assert [each.id for each in listed] == [*ids, "taken"]

    async def test_a_replaced_document_keeps_content_and_creation(
        self, store: MetadataStore
    ) -> None:
        media = make_media(name="old", language="en")
        await store.insert_media(media)
        uploaded = await upload(store, media, make_content(1))
        saved = replace(
            uploaded,
            document={"name": "new", "prompt_id": "p"},
            revision=next_revision(uploaded.revision),
            created_ms=5,
            modified_ms=3000,
            content=None,
        )
        await store.replace_document(saved, uploaded.revision)
        expected = replace(saved, created_ms=1000, content=uploaded.content)
        assert await store.get_media(ACCOUNT, "m") == expected
        assert await store.count_languages(ACCOUNT) == [(None, 1)]
        assert await store.list_translations(ACCOUNT, "p", "", 9) == [("m", True)]

    async def test_a_stale_revision_changes_nothing(self, store: MetadataStore) -> None:
        media = make_media(name="old")
        await store.insert_media(media)
        content = make_content(1)
        await store.begin_upload(ACCOUNT, keys_of(content), 2000)
        saved = saved_with(media, content, name="new")
        for attempt in (
            store.replace_document(saved, "1-other"),
            store.soft_delete_media(ACCOUNT, "m", "1-other", 2),
            store.remove_media(ACCOUNT, "m", "1-other", 2),
            store.commit_content(saved, "1-other", 2),
            store.replace_document(replace(saved, account_id=OTHER_ACCOUNT), media.revision),
            store.soft_delete_media(OTHER_ACCOUNT, "m", media.revision, 2),
            store.remove_media(OTHER_ACCOUNT, "m", media.revision, 2),
            store.remove_media(ACCOUNT, "unknown", media.revision, 2),
        ):
            with pytest.raises(StaleRevisionError):
                await attempt
        assert await store.get_media(ACCOUNT, "m") == media
        states = {each.state for each in await store.list_blobs("", 9)}
        assert states == {BlobState.PENDING}

    async def test_of_racing_replacements_exactly_one_wins(self, store: MetadataStore) -> None:
        media = make_media()
        await store.insert_media(media)
        racers = [saved_with(media, None, number=number) for number in range(10)]
        results = await asyncio.gather(
            *(store.replace_document(each, media.revision) for each in racers),
            return_exceptions=True,
        )
        assert results.count(None) == 1
        assert await store.get_media(ACCOUNT, "m") == racers[results.index(None)]

    async def test_a_soft_deleted_media_is_invisible_and_keeps_its_id(
        self, store: MetadataStore
    ) -> None:
        media = make_media(prompt_id="p", language="en")
        await store.insert_media(media)
        media = await upload(store, media, make_content(1))
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 3000)
        assert await store.get_media(ACCOUNT, "m") is None
        assert await store.list_media(ACCOUNT, MediaQuery(9)) == []
        assert await store.count_prompts(ACCOUNT, "", 9) == []
        assert await store.count_languages(ACCOUNT) == []
        assert await store.list_translations(ACCOUNT, "p", "", 9) == []
        assert await store.list_language_ids(ACCOUNT, "en", "", 9) == []
        with pytest.raises(StaleRevisionError):
            await store.replace_document(saved_with(media, None), media.revision)
        with pytest.raises(StaleRevisionError):
            await store.remove_media(ACCOUNT, "m", media.revision, 3000)
        with pytest.raises(ConflictError):
            await store.insert_media(make_media())
        states = {each.state for each in await store.list_blobs("", 9)}
        assert states == {BlobState.LIVE}

    async def test_a_removed_media_frees_its_id_and_its_blobs_die(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        media = await upload(store, media, make_content(1))
        await store.remove_media(ACCOUNT, "m", media.revision, 4000)
        assert await store.get_media(ACCOUNT, "m") is None
        blobs = await store.list_blobs("", 9)
        assert [(each.state, each.touched_ms) for each in blobs] == [(BlobState.DEAD, 4000)] * 2
        await store.insert_media(make_media())
        found = await store.get_media(ACCOUNT, "m")
        assert found is not None
        assert found.content is None

    async def test_a_list_is_in_the_order_of_code_points(self, store: MetadataStore) -> None:
        for media_id in reversed(ODD_IDS):
            await store.insert_media(make_media(media_id))
        await store.insert_media(make_media("x", OTHER_ACCOUNT))
        assert await _ids(store, MediaQuery(100)) == ODD_IDS
        assert await _ids(store, MediaQuery(100, descending=True)) == ODD_IDS[::-1]

    async def test_a_list_starts_at_its_start_inclusive(self, store: MetadataStore) -> None:
        for media_id in "abcde":
            await store.insert_media(make_media(media_id))

        async def ids(start: str, *, descending: bool) -> str:
            query = MediaQuery(2, start=start, descending=descending)
            return "".join(await _ids(store, query))

        assert await ids("b", descending=False) == "bc"
        assert await ids("bb", descending=False) == "cd"
        assert await ids("z", descending=False) == ""
        assert await ids("d", descending=True) == "dc"
        assert await ids("dd", descending=True) == "dc"

    async def test_a_listed_media_has_its_content(self, store: MetadataStore) -> None:
        media = make_media()
        await store.insert_media(media)
        media = await upload(store, media, make_content(7))
        assert await store.list_media(ACCOUNT, MediaQuery(9)) == [media]

    async def test_a_listed_document_is_as_it_was_stored(self, store: MetadataStore) -> None:
        media = make_media("en-us/hello", **DOCUMENT, language="en-US", prompt_id="hello")
        await store.insert_media(media)
        media = await upload(store, media, make_content(7))
        listed = await store.list_documents(ACCOUNT, MediaQuery(9))
        assert listed == [("en-us/hello", media.document)]
        assert list(listed[0].document) == list(media.document)

    async def test_of_a_large_document_a_list_has_at_least_what_it_shows(
        self, store: MetadataStore
    ) -> None:
        shown = {"name": 'a "b"', "language": "en", "content_type": "audio/mp3"}
        media = replace(make_media("x"), document={**shown, "note": "x" * 5000, "list": [1]})
        await store.insert_media(media)
        [(media_id, listed)] = await store.list_documents(ACCOUNT, MediaQuery(9))
        assert media_id == "x"
        assert {key: listed[key] for key in shown} == shown
        assert listed.get("prompt_id") is None

    async def test_a_deleted_document_is_not_listed(self, store: MetadataStore) -> None:
        gone = make_media("b")
        for media in (make_media("a"), gone, make_media("c")):
            await store.insert_media(media)
        await store.soft_delete_media(ACCOUNT, gone.id, gone.revision, 5)
        assert await _ids(store, MediaQuery(2)) == ["a", "c"]

    @pytest.mark.parametrize("descending", [False, True])
    async def test_paging_sees_every_lasting_media_once_while_others_come_and_go(
        self, store: MetadataStore, *, descending: bool
    ) -> None:
        lasting = [f"{number:03}" for number in range(0, 60, 2)]
        passing = {each: make_media(each) for each in (f"{n:03}" for n in range(1, 60, 4))}
        for media_id in lasting:
            await store.insert_media(make_media(media_id))
        for media in passing.values():
            await store.insert_media(media)
        seen: list[str] = []
        start: str | None = None
        while True:
            query = MediaQuery(8, start=start, descending=descending)
            page = await _ids(store, query)
            seen += page[:7]
            if len(page) < 8:
                break
            start = page[7]
            _, gone = passing.popitem()
            await store.remove_media(ACCOUNT, gone.id, gone.revision, 2)
            await store.insert_media(make_media(f"{len(seen):03}+"))
        assert [each for each in seen if each in set(lasting)] == sorted(
            lasting, reverse=descending
        )
        assert len(seen) == len(set(seen))

    async def test_time_bounds_are_inclusive(self, store: MetadataStore) -> None:
        for number in (1, 2, 3, 4):
            media = replace(make_media(str(number)), created_ms=number, modified_ms=10 * number)
            await store.insert_media(media)

        async def ids(query: MediaQuery) -> str:
            return "".join(await _ids(store, query))

        assert await ids(MediaQuery(9, created_from_ms=2)) == "234"
        assert await ids(MediaQuery(9, created_to_ms=2)) == "12"
        assert await ids(MediaQuery(9, modified_from_ms=20, modified_to_ms=30)) == "23"
        assert await ids(MediaQuery(9, created_from_ms=3, modified_to_ms=20)) == ""


async def _ids(store: MetadataStore, query: MediaQuery) -> list[str]:
    """Return the ids that a query finds, by either method of listing."""
    media = await store.list_media(ACCOUNT, query)
    documents = await store.list_documents(ACCOUNT, query)
    assert documents == [(each.id, each.document) for each in media]
    return [each.id for each in media]
