"""What every metadata store promises of uploads, their pieces and their tails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kazoo_media.blobs.store import new_blob_key
from kazoo_media.errors import (
    ConflictError,
    MediaError,
    StaleRevisionError,
    TakenOverError,
    TooManyUploadsError,
    UploadNotFoundError,
)
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metadata.uploads import OpenUploads, Piece, TailAppend, UploadRow, UploadState
from kazoo_media.model import BlobState, MediaQuery
from tests.contract.media_samples import ACCOUNT, OTHER_ACCOUNT, keys_of, make_content, make_media


def make_upload(upload_id: str = "u", account_id: str = ACCOUNT) -> UploadRow:
    return UploadRow(
        account_id=account_id,
        id=upload_id,
        state=UploadState.RECEIVING,
        spec='{"a":1}',
        media_id="m",
        created_ms=1000,
        touched_ms=1000,
        holder="node:1",
    )


def unchanged(row: UploadRow) -> UploadRow:
    return row


def refuse(row: UploadRow) -> UploadRow:
    raise TakenOverError(row.id)


def appending(data: bytes, row: UploadRow | None = None) -> TailAppend:
    def change(row: UploadRow) -> tuple[UploadRow, bytes]:
        size = row.persisted_size + len(data)
        return replace(row, persisted_size=size, marks='["x"]', received_ms=5), data

    upload = row or make_upload()
    return TailAppend(upload.account_id, upload.id, change)


async def open_with(store: MetadataStore, parts: Sequence[bytes]) -> UploadRow:
    """Return the row of an upload that has got these parts, one flush after the other."""
    await store.open_upload(make_upload(), 9, unchanged)
    for part in parts:
        await store.append_tails([appending(part)])
    row = await store.get_upload(ACCOUNT, "u")
    assert row is not None
    return row


async def add_piece(store: MetadataStore, offset: int, size_bytes: int) -> Piece:
    piece = Piece(ACCOUNT, "u", offset, size_bytes, new_blob_key(), "0" * 64)
    await store.begin_upload(ACCOUNT, [piece.blob_key], 2000)
    assert await store.add_piece(piece, 3000)
    return piece


async def blob_states(store: MetadataStore) -> dict[str, BlobState]:
    return {each.key: each.state for each in await store.list_blobs("", 1000)}


class UploadStoreContract:
    """The promises of `UploadStore`."""

    async def test_an_upload_is_added_once_and_then_changed(self, store: MetadataStore) -> None:
        row = make_upload()
        assert await store.open_upload(row, 1, refuse) == row
        raised = replace(
            row, epoch=2, state=UploadState.INTERRUPTED, resumes=True, outside_pause="skip",
            crc32c=0xFFFFFFFF, ending="{}", error="ü", touched_ms=7,
        )  # fmt: skip
        assert await store.open_upload(row, 1, lambda _: raised) == raised
        assert await store.get_upload(ACCOUNT, "u") == raised
        with pytest.raises(TakenOverError):
            await store.open_upload(row, 1, refuse)
        with pytest.raises(TakenOverError):
            await store.change_upload(ACCOUNT, "u", refuse)
        assert await store.get_upload(ACCOUNT, "u") == raised
        assert await store.get_upload(OTHER_ACCOUNT, "u") is None
        with pytest.raises(UploadNotFoundError):
            await store.change_upload(OTHER_ACCOUNT, "u", unchanged)

    async def test_only_open_uploads_of_the_account_count(self, store: MetadataStore) -> None:
        await store.open_upload(make_upload("a"), 1, refuse)
        await store.open_upload(make_upload("a", OTHER_ACCOUNT), 1, refuse)
        with pytest.raises(TooManyUploadsError):
            await store.open_upload(make_upload("b"), 1, refuse)
        assert await store.get_upload(ACCOUNT, "b") is None
        await store.change_upload(
            ACCOUNT, "a", lambda row: replace(row, state=UploadState.FINISHED)
        )
        await store.open_upload(make_upload("b"), 1, refuse)

    async def test_open_uploads_of_all_accounts_are_counted(self, store: MetadataStore) -> None:
        states = {"receiving": 0, "interrupted": 0, "committing": 0}
        assert await store.count_open_uploads() == OpenUploads(states, 0, None)
        await open_with(store, [b"abc", b"defgh"])
        await add_piece(store, 0, 3)
        for upload_id, state, touched_ms in (
            ("i", UploadState.INTERRUPTED, 30),
            ("j", UploadState.INTERRUPTED, 20),
            ("c", UploadState.COMMITTING, 10),
            ("f", UploadState.FINISHED, 5),
        ):
            row = replace(make_upload(upload_id, OTHER_ACCOUNT), state=state, touched_ms=touched_ms)
            await store.open_upload(row, 9, refuse)
        counted = {"receiving": 1, "interrupted": 2, "committing": 1}
        assert await store.count_open_uploads() == OpenUploads(counted, 5, 20)

    async def test_uploads_and_idle_ones_are_listed_by_id(self, store: MetadataStore) -> None:
        for number, upload_id in enumerate("cab"):
            row = replace(make_upload(upload_id), touched_ms=number)
            await store.open_upload(row, 9, refuse)
        await store.open_upload(replace(make_upload("d", OTHER_ACCOUNT), touched_ms=0), 9, refuse)
        assert [each.id for each in await store.list_uploads(ACCOUNT, "b", 9)] == ["b", "c"]
        assert [each.id for each in await store.list_uploads(ACCOUNT, "", 1)] == ["a"]
        before = ("", "")
        assert [each.id for each in await store.list_idle_uploads(2, before, 9)] == ["a", "c", "d"]
        assert [each.id for each in await store.list_idle_uploads(2, (ACCOUNT, "a"), 1)] == ["c"]
        await store.change_upload(
            ACCOUNT, "c", lambda row: replace(row, state=UploadState.FINISHED)
        )
        assert [each.id for each in await store.list_idle_uploads(9, before, 9)] == ["a", "b", "d"]
        await store.change_upload(ACCOUNT, "c", lambda row: replace(row, is_archiving=True))
        assert [each.id for each in await store.list_idle_uploads(9, ("", ""), 2)] == ["a", "b"]
        assert "c" in [each.id for each in await store.list_idle_uploads(9, ("", ""), 3)]
        assert await store.forget_uploads(0) == 0
        assert await store.forget_uploads(1) == 1
        assert await store.get_upload(ACCOUNT, "c") is None

    async def test_a_flush_stores_what_it_can_and_says_what_it_cannot(
        self, store: MetadataStore
    ) -> None:
        other = make_upload("other", OTHER_ACCOUNT)
        await store.open_upload(make_upload(), 9, refuse)
        await store.open_upload(other, 9, refuse)

        def taken(row: UploadRow) -> tuple[UploadRow, bytes]:
            raise TakenOverError(row.id)

        results = await store.append_tails(
            [
                TailAppend(ACCOUNT, "missing", taken),
                appending(b"one"),
                TailAppend(OTHER_ACCOUNT, "other", taken),
            ]
        )
        assert [type(each) for each in results] == [UploadNotFoundError, UploadRow, TakenOverError]
        stored = results[1]
        assert isinstance(stored, UploadRow)
        assert (stored.spec, stored.persisted_size, stored.marks) == ("", 3, '["x"]')
        assert await store.get_upload(ACCOUNT, "u") == replace(stored, spec='{"a":1}')
        assert await store.get_upload(OTHER_ACCOUNT, "other") == other

    async def test_an_upload_may_be_in_a_flush_twice(self, store: MetadataStore) -> None:
        await store.open_upload(make_upload(), 9, refuse)
        rows = await store.append_tails([appending(b"abc"), appending(b"de")])
        assert [row.persisted_size for row in rows if isinstance(row, UploadRow)] == [3, 5]
        assert await store.read_upload(ACCOUNT, "u", 0, 9) == b"abcde"
        row = await store.get_upload(ACCOUNT, "u")
        assert row is not None
        assert row.persisted_size == 5

    async def test_the_tail_is_read_from_any_byte(self, store: MetadataStore) -> None:
        await open_with(store, [b"abc", b"", b"defg", b"h"])
        for start in range(9):
            for limit in (1, 3, 100):
                expected = b"abcdefgh"[start : start + limit]
                assert await store.read_upload(ACCOUNT, "u", start, limit) == expected
        assert await store.read_upload(OTHER_ACCOUNT, "u", 0, 9) == b""

    async def test_a_piece_replaces_exactly_its_bytes_of_the_tail(
        self, store: MetadataStore
    ) -> None:
        await open_with(store, [b"abc", b"defg", b"h"])
        first = await add_piece(store, 0, 5)
        second = await add_piece(store, 5, 2)
        row = await store.get_upload(ACCOUNT, "u")
        assert row is not None
        assert (row.pieces_end, row.persisted_size) == (7, 8)
        assert [await store.read_upload(ACCOUNT, "u", each, 9) for each in range(8)] == [
            *[first] * 5,
            *[second] * 2,
            b"h",
        ]
        await store.append_tails([appending(b"ij")])
        assert await store.read_upload(ACCOUNT, "u", 7, 9) == b"hij"
        assert set((await blob_states(store)).values()) == {BlobState.LIVE}

    async def test_a_piece_that_does_not_fit_the_tail_changes_nothing(
        self, store: MetadataStore
    ) -> None:
        await open_with(store, [b"abcdef"])
        await add_piece(store, 0, 3)
        keys = [new_blob_key() for _ in range(4)]
        await store.begin_upload(ACCOUNT, keys[:3], 2000)
        for offset, size, key in zip((0, 4, 3, 3), (3, 1, 4, 3), keys, strict=True):
            piece = Piece(ACCOUNT, "u", offset, size, key, "0" * 64)
            assert not await store.add_piece(piece, 3000)
        states = await blob_states(store)
        assert {states[key] for key in keys[:3]} == {BlobState.PENDING}
        assert await store.read_upload(ACCOUNT, "u", 3, 9) == b"def"

    async def test_a_commit_makes_the_media_and_kills_pieces_and_tail_in_one_step(
        self, store: MetadataStore
    ) -> None:
        await open_with(store, [b"abcdef"])
        piece = await add_piece(store, 0, 3)
        content = make_content(1, normalized=False)
        await store.begin_upload(ACCOUNT, keys_of(content), 2000)
        media = replace(make_media(), content=content, is_recording=True)

        def finish(row: UploadRow) -> UploadRow:
            return replace(row, state=UploadState.FINISHED)

        with pytest.raises(TakenOverError):
            await store.commit_upload(refuse, "u", media, None)
        assert await store.get_media(ACCOUNT, "m") is None
        await store.commit_upload(finish, "u", media, None)
        assert await store.get_media(ACCOUNT, "m") == media
        row = await store.get_upload(ACCOUNT, "u")
        assert row is not None
        assert row.state is UploadState.FINISHED
        assert await store.read_upload(ACCOUNT, "u", 0, 9) == b""
        states = await blob_states(store)
        assert states == {
            piece.blob_key: BlobState.DEAD,
            keys_of(content)[0]: BlobState.LIVE,
        }
        assert await store.list_media(ACCOUNT, MediaQuery(9)) == [media]
        assert await store.list_media(ACCOUNT, MediaQuery(9, with_recordings=False)) == []
        assert await store.count_languages(ACCOUNT) == []
        assert await store.list_language_ids(ACCOUNT, None, "", 9) == []

    @pytest.mark.parametrize(
        ("revision", "error"), [(None, ConflictError), ("2-x", StaleRevisionError)]
    )
    async def test_a_commit_that_is_refused_keeps_every_byte(
        self, store: MetadataStore, revision: str | None, error: type[MediaError]
    ) -> None:
        before = await open_with(store, [b"abcdef"])
        piece = await add_piece(store, 0, 3)
        await store.insert_media(make_media())
        content = make_content(1, normalized=False)
        await store.begin_upload(ACCOUNT, keys_of(content), 2000)
        media = replace(make_media(), content=content)
        with pytest.raises(error):
            await store.commit_upload(unchanged, "u", media, revision)
        assert await store.get_upload(ACCOUNT, "u") == replace(before, pieces_end=3)
        assert await store.read_upload(ACCOUNT, "u", 0, 9) == piece
        assert await store.read_upload(ACCOUNT, "u", 3, 9) == b"def"

    async def test_a_discard_removes_the_bytes_and_keeps_the_row(
        self, store: MetadataStore
    ) -> None:
        await open_with(store, [b"abcdef"])
        piece = await add_piece(store, 0, 3)
        with pytest.raises(TakenOverError):
            await store.discard_upload(ACCOUNT, "u", refuse, 4000)
        assert await store.read_upload(ACCOUNT, "u", 3, 9) == b"def"

        def discard(row: UploadRow) -> UploadRow:
            return replace(row, state=UploadState.DISCARDED)

        row = await store.discard_upload(ACCOUNT, "u", discard, 4000)
        assert row.state is UploadState.DISCARDED
        assert await store.get_upload(ACCOUNT, "u") == row
        assert await store.read_upload(ACCOUNT, "u", 0, 9) == b""
        assert await store.read_upload(ACCOUNT, "u", 3, 9) == b""
        assert await blob_states(store) == {piece.blob_key: BlobState.DEAD}
