"""What every metadata store promises of blob rows and of the commit of a content."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from kazoo_media.blobs.store import new_blob_key
from kazoo_media.errors import IncompleteUploadError, StaleRevisionError
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.model import BlobRow, BlobState, Content, Media, MediaQuery
from tests.contract.media_samples import (
    ACCOUNT,
    OTHER_ACCOUNT,
    keys_of,
    make_content,
    make_media,
    saved_with,
    upload,
)


async def _states(store: MetadataStore) -> dict[str, BlobState]:
    return {each.key: each.state for each in await store.list_blobs("", 1000)}


def _is_one_version(media: Media | None) -> bool:
    """Tell whether document and both renditions are of one upload."""
    assert media is not None
    if media.content is None:
        return bool(media.document["number"] == 0)
    sizes = {each.size_bytes for each in media.content.renditions}
    return sizes == {media.document["number"]} and len(media.content.renditions) == 2


def _measured(content: Content, kind: str, **known: Any) -> Content:
    """Return a content with what was measured of one of its renditions."""
    return replace(content, **{kind: replace(getattr(content, kind), **known)})


class BlobRowsContract:
    """The promises of `BlobRows`, and of the commit that makes them live."""

    async def test_a_commit_makes_content_document_and_rows_agree(
        self, store: MetadataStore
    ) -> None:
        media = make_media(name="n")
        await store.insert_media(media)
        content = make_content(5)
        saved = await upload(store, media, content, now_ms=2500, content_length=5)
        assert await store.get_media(ACCOUNT, "m") == saved
        rows = await store.list_blobs("", 9)
        assert {each.key for each in rows} == set(keys_of(content))
        assert {replace(each, key="") for each in rows} == {
            BlobRow(ACCOUNT, "", BlobState.LIVE, 2500, 5, f"{5:064x}")
        }

    async def test_a_purge_frees_ids_and_blobs_of_what_was_soft_deleted_long_enough_ago(
        self, store: MetadataStore
    ) -> None:
        kept = {}
        for account, media_id, deleted_ms in (
            (ACCOUNT, "old", 3000),
            (ACCOUNT, "young", 5000),
            (OTHER_ACCOUNT, "foreign", 3000),
            (ACCOUNT, "live", None),
        ):
            media = make_media(media_id, account)
            await store.insert_media(media)
            content = make_content(1, normalized=False)
            saved = await upload(store, media, content)
            kept[media_id] = keys_of(content)[0]
            if deleted_ms is not None:
                await store.soft_delete_media(account, media_id, saved.revision, deleted_ms)
        assert await store.purge_media(ACCOUNT, 4000, 10, now_ms=9000) == 1
        states = await _states(store)
        assert states.pop(kept["old"]) is BlobState.DEAD
        assert set(states.values()) == {BlobState.LIVE}
        await store.insert_media(make_media("old"))
        assert await store.purge_media(ACCOUNT, 6000, 0, now_ms=9000) == 0
        assert await store.purge_media(ACCOUNT, 6000, 10, now_ms=9000) == 1
        assert await store.purge_media(ACCOUNT, 6000, 10, now_ms=9000) == 0
        assert await store.get_media(ACCOUNT, "live") is not None

    async def test_a_content_of_one_rendition_replaces_one_of_two(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        old, new = make_content(1), make_content(2, normalized=False)
        media = await upload(store, media, old)
        media = await upload(store, media, new, now_ms=3000)
        assert await store.get_media(ACCOUNT, "m") == media
        assert await _states(store) == {
            **dict.fromkeys(keys_of(old), BlobState.DEAD),
            **dict.fromkeys(keys_of(new), BlobState.LIVE),
        }
        assert {each.touched_ms for each in await store.list_dead(3001, 9)} == {3000}

    async def test_a_new_normalized_rendition_beside_the_same_original_replaces_the_old_one(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        old = make_content(1)
        media = await upload(store, media, old, now_ms=2000)
        assert old.normalized is not None
        made = replace(old.normalized, blob_key=new_blob_key(), normalization="telephony mp3")
        await store.begin_upload(ACCOUNT, [made.blob_key], 3000)
        media = saved_with(before := media, replace(old, normalized=made))
        await store.commit_content(media, before.revision, 3000)
        assert await store.get_media(ACCOUNT, "m") == media
        rows = {each.key: (each.state, each.touched_ms) for each in await store.list_blobs("", 9)}
        assert rows == {
            old.original.blob_key: (BlobState.LIVE, 2000),
            old.normalized.blob_key: (BlobState.DEAD, 3000),
            made.blob_key: (BlobState.LIVE, 3000),
        }

    async def test_a_rendition_that_was_given_up_replaces_none(self, store: MetadataStore) -> None:
        media = make_media()
        await store.insert_media(media)
        old = make_content(1)
        media = await upload(store, media, old)
        assert old.normalized is not None
        made = replace(old.normalized, blob_key=new_blob_key())
        await store.begin_upload(ACCOUNT, [made.blob_key], 3000)
        await store.abandon_blobs(ACCOUNT, [made.blob_key], 3500)
        changed = saved_with(media, replace(old, normalized=made))
        with pytest.raises(IncompleteUploadError):
            await store.commit_content(changed, media.revision, 4000)
        assert await store.get_media(ACCOUNT, "m") == media
        assert await _states(store) == {
            **dict.fromkeys(keys_of(old), BlobState.LIVE),
            made.blob_key: BlobState.DEAD,
        }

    async def test_a_reader_sees_the_old_or_the_new_pair(self, store: MetadataStore) -> None:
        media = make_media(number=0)
        await store.insert_media(media)
        done = asyncio.Event()
        seen: set[int] = set()

        async def read() -> None:
            while not done.is_set():
                one = await store.get_media(ACCOUNT, "m")
                assert _is_one_version(one)
                listed = await store.list_media(ACCOUNT, MediaQuery(1))
                assert _is_one_version(listed[0])
                seen.add(listed[0].document["number"])
                await asyncio.sleep(0)

        async def write() -> None:
            current = media
            for number in range(1, 61):
                current = await upload(store, current, make_content(number), number=number)
                await asyncio.sleep(0)
            done.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(read())
            group.create_task(write())
        assert len(seen) > 1

    async def test_a_commit_after_the_sweep_is_refused(self, store: MetadataStore) -> None:
        media = make_media(name="old")
        await store.insert_media(media)
        content = make_content(1)
        await store.begin_upload(ACCOUNT, keys_of(content), 1000)
        assert await store.expire_pending(1001, 5000) == 2
        with pytest.raises(IncompleteUploadError):
            await store.commit_content(saved_with(media, content), media.revision, 6000)
        assert await store.get_media(ACCOUNT, "m") == media
        assert set((await _states(store)).values()) == {BlobState.DEAD}
        await store.forget_blobs(await store.list_dead(9000, 9))
        with pytest.raises(IncompleteUploadError):
            await store.commit_content(saved_with(media, content), media.revision, 6000)

    async def test_a_commit_with_one_lost_blob_changes_nothing(self, store: MetadataStore) -> None:
        media = make_media(number=0)
        await store.insert_media(media)
        media = await upload(store, media, make_content(1), number=1)
        before = await _states(store)
        content = make_content(2)
        keys = keys_of(content)
        await store.begin_upload(ACCOUNT, keys, 3000)
        for lost in (keys[0], keys[1]):
            assert await store.abandon_blobs(ACCOUNT, [lost], 3500) == [lost]
            with pytest.raises(IncompleteUploadError):
                await store.commit_content(saved_with(media, content), media.revision, 4000)
            assert await store.get_media(ACCOUNT, "m") == media
        assert await _states(store) == {**before, **dict.fromkeys(keys, BlobState.DEAD)}

    async def test_a_commit_does_not_take_blobs_of_another_account(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        await store.begin_upload(OTHER_ACCOUNT, keys_of(content), 1000)
        with pytest.raises(IncompleteUploadError):
            await store.commit_content(saved_with(media, content), media.revision, 2000)
        await store.abandon_blobs(ACCOUNT, keys_of(content), 2000)
        await store.touch_blobs(ACCOUNT, keys_of(content), 2000)
        rows = await store.list_blobs("", 9)
        assert {(each.state, each.touched_ms) for each in rows} == {(BlobState.PENDING, 1000)}

    async def test_a_touched_upload_does_not_expire(self, store: MetadataStore) -> None:
        keys = [new_blob_key() for _ in range(3)]
        await store.begin_upload(ACCOUNT, keys, 1000)
        await store.touch_blobs(ACCOUNT, keys[:2], 2000)
        await store.touch_blobs(ACCOUNT, ["0" * 32], 2000)
        assert await store.expire_pending(2000, 3000) == 1
        assert await _states(store) == {
            keys[0]: BlobState.PENDING,
            keys[1]: BlobState.PENDING,
            keys[2]: BlobState.DEAD,
        }

    async def test_only_pending_blobs_are_touched_abandoned_and_expired(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        media = await upload(store, media, content, now_ms=2000)
        keys = keys_of(content)
        await store.touch_blobs(ACCOUNT, keys, 9000)
        assert await store.abandon_blobs(ACCOUNT, [*keys, "0" * 32], 9000) == []
        assert await store.expire_pending(99_000, 9000) == 0
        rows = await store.list_blobs("", 9)
        assert {(each.state, each.touched_ms) for each in rows} == {(BlobState.LIVE, 2000)}
        await store.remove_media(ACCOUNT, "m", media.revision, 3000)
        await store.touch_blobs(ACCOUNT, keys, 9000)
        assert await store.abandon_blobs(ACCOUNT, keys, 9000) == []
        rows = await store.list_blobs("", 9)
        assert {(each.state, each.touched_ms) for each in rows} == {(BlobState.DEAD, 3000)}

    async def test_dead_blobs_of_all_accounts_are_listed_by_age(self, store: MetadataStore) -> None:
        for number, account in enumerate((ACCOUNT, OTHER_ACCOUNT, ACCOUNT)):
            await store.begin_upload(account, [f"{number:032x}"], 1)
            await store.abandon_blobs(account, [f"{number:032x}"], 1000 + number)
        assert [each.account_id for each in await store.list_dead(1002, 9)] == [
            ACCOUNT,
            OTHER_ACCOUNT,
        ]
        assert len(await store.list_dead(9999, 2)) == 2
        assert await store.list_dead(1000, 9) == []

    async def test_only_dead_rows_are_forgotten(self, store: MetadataStore) -> None:
        keys = [new_blob_key(), new_blob_key()]
        await store.begin_upload(ACCOUNT, keys, 1000)
        rows = await store.list_blobs("", 9)
        await store.abandon_blobs(ACCOUNT, keys[:1], 2000)
        await store.forget_blobs([replace(each, account_id=OTHER_ACCOUNT) for each in rows])
        assert len(await store.list_blobs("", 9)) == 2
        await store.forget_blobs(rows)
        await store.forget_blobs(rows)
        assert await _states(store) == {keys[1]: BlobState.PENDING}

    async def test_peaks_come_with_a_commit_or_later_and_go_with_the_row(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        measured = replace(content, original=replace(content.original, peaks=b"\x81\x7f"))
        media = await upload(store, media, measured, now_ms=2000)
        first, second = content.original.blob_key, keys_of(content)[0]
        assert await store.get_peaks(ACCOUNT, first) == b"\x81\x7f"
        assert await store.get_peaks(ACCOUNT, second) is None
        assert await store.get_peaks(OTHER_ACCOUNT, first) is None
        for peaks in (b"\xfe\x01\xfe\x01", b"\0\0"):
            found = replace(media, content=_measured(content, "normalized", peaks=peaks))
            await store.put_measured(found, media.document)
        assert await store.get_peaks(ACCOUNT, second) == b"\xfe\x01\xfe\x01"
        await store.remove_media(ACCOUNT, "m", media.revision, 3000)
        await store.forget_blobs(await store.list_dead(9999, 9))
        assert await store.get_peaks(ACCOUNT, first) is None
        assert await store.get_peaks(ACCOUNT, second) is None

    async def test_what_was_measured_joins_a_media_that_is_as_it_was_read(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        media = await upload(store, media, content, now_ms=2000)
        facts = replace(content.original.facts, loudness_lufs=-30.5, clipped_samples=9)
        told = {**media.document, "loudness_lufs": -30.5}
        after = replace(
            media, document=told, content=_measured(content, "original", facts=facts, peaks=b"\1\2")
        )
        others = [
            (replace(after, account_id=OTHER_ACCOUNT), media.document),
            (replace(after, id="another"), media.document),
            (replace(after, revision="9-" + "0" * 32), media.document),
            (after, {**media.document, "name": "another"}),
        ]
        for other, known in others:
            with pytest.raises(StaleRevisionError):
                await store.put_measured(other, known)
        assert await store.get_media(ACCOUNT, "m") == media
        assert await store.get_peaks(ACCOUNT, content.original.blob_key) is None

        await store.put_measured(after, media.document)

        assert await store.get_media(ACCOUNT, "m") == after
        assert await store.get_peaks(ACCOUNT, content.original.blob_key) == b"\1\2"
        with pytest.raises(StaleRevisionError):
            await store.put_measured(after, media.document)
        await store.soft_delete_media(ACCOUNT, "m", media.revision, 3000)
        with pytest.raises(StaleRevisionError):
            await store.put_measured(after, told)

    async def test_what_is_known_of_a_blob_that_stays_is_not_forgotten(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        media = await upload(store, media, content)
        facts = replace(content.original.facts, loudness_lufs=-30.5, clipped_samples=9)
        known = _measured(content, "original", facts=facts)
        await store.put_measured(replace(media, content=known), media.document)
        again = make_content(2).normalized
        assert again is not None
        await store.begin_upload(ACCOUNT, [again.blob_key], 3000)
        unknown = replace(facts, loudness_lufs=None, peak_dbfs=None, clipped_samples=None)
        saved = saved_with(media, Content(replace(content.original, facts=unknown), again))
        await store.commit_content(saved, media.revision, 3000)
        found = await store.get_media(ACCOUNT, "m")
        assert found == replace(saved, content=Content(known.original, again))

    async def test_a_blob_that_stays_takes_what_was_measured_of_it(
        self, store: MetadataStore
    ) -> None:
        media = make_media()
        await store.insert_media(media)
        content = make_content(1)
        media = await upload(store, media, content)
        facts = replace(content.original.facts, loudness_lufs=-30.5, clipped_samples=9)
        for peaks, kept in ((None, None), (b"\x81\x7f", b"\x81\x7f"), (b"\0\0", b"\x81\x7f")):
            again = make_content(2).normalized
            measured = replace(content.original, facts=facts, peaks=peaks)
            assert again is not None
            await store.begin_upload(ACCOUNT, [again.blob_key], 3000)
            saved = saved_with(media, Content(measured, again))
            await store.commit_content(saved, media.revision, 3000)
            media = await store.get_media(ACCOUNT, "m") or media
            assert media == saved
            assert await store.get_peaks(ACCOUNT, content.original.blob_key) == kept

    async def test_rows_are_paged_by_key_over_all_accounts(self, store: MetadataStore) -> None:
        keys = sorted(new_blob_key() for _ in range(25))
        await store.begin_upload(ACCOUNT, keys[::2], 1000)
        await store.begin_upload(OTHER_ACCOUNT, keys[1::2], 1000)
        seen: list[str] = []
        while page := await store.list_blobs(seen[-1] if seen else "", 10):
            seen += [each.key for each in page]
        assert seen == keys

    async def test_a_cancelled_commit_happened_or_did_not(self, store: MetadataStore) -> None:
        media = make_media(number=0)
        await store.insert_media(media)
        for number in range(1, 41):
            content = make_content(number)
            await store.begin_upload(ACCOUNT, keys_of(content), 2000)
            saved = saved_with(media, content, number=number)
            async with asyncio.TaskGroup() as group:
                commit = group.create_task(store.commit_content(saved, media.revision, 3000))
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                commit.cancel()
            # Writes are in order: what was cancelled is decided when this one is done.
            await store.touch_blobs(ACCOUNT, [], 3000)
            found = await store.get_media(ACCOUNT, "m")
            assert _is_one_version(found)
            assert found in (media, saved)
            assert found is not None
            media = found
            states = await _states(store)
            live = {key for key, state in states.items() if state is BlobState.LIVE}
            assert live == set(keys_of(media.content) if media.content else [])
