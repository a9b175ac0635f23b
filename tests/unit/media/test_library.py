"""The library: what a client sees of documents, whatever else goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from kazoo_media.access.accounts import WriteScope
from kazoo_media.errors import (
    ConflictError,
    MediaNotFoundError,
    PreconditionFailedError,
    ValidationError,
)
from kazoo_media.media.library import Library
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import MediaQuery
from tests.support.core_fixtures import make_core

_SCOPE = WriteScope("a" * 32)
_OTHER = WriteScope("b" * 32)


@pytest.fixture
async def library() -> Library:
    return (await make_core()).core.library


async def test_a_created_document_is_what_get_returns(library: Library) -> None:
    made = await library.create(_SCOPE, {"name": "File"})
    assert len(made.id) == 32
    assert made.revision.startswith("1-")
    assert await library.get(_SCOPE, made.id) == made


async def test_another_account_does_not_see_it(library: Library) -> None:
    made = await library.create(_SCOPE, {"name": "File"}, "same")
    await library.create(_OTHER, {"name": "Other"}, "same")
    assert (await library.get(_SCOPE, "same")).document["name"] == "File"
    await library.delete(_OTHER, "same", hard=True)
    assert await library.get(_SCOPE, "same") == made


async def test_an_id_is_given_once_also_after_a_soft_delete(library: Library) -> None:
    await library.create(_SCOPE, {"name": "File"}, "x")
    with pytest.raises(ConflictError):
        await library.create(_SCOPE, {"name": "Again"}, "x")
    await library.delete(_SCOPE, "x", hard=False)
    with pytest.raises(ConflictError):
        await library.create(_SCOPE, {"name": "Again"}, "x")


async def test_a_hard_deleted_id_and_a_deleted_prompt_are_free_again(library: Library) -> None:
    await library.create(_SCOPE, {"name": "File"}, "x")
    await library.delete(_SCOPE, "x", hard=True)
    await library.create(_SCOPE, {"name": "Again"}, "x")
    prompt = {"name": "p", "prompt_id": "vm", "language": "fr"}
    assert (await library.create(_SCOPE, prompt)).id == "fr/vm"
    await library.delete(_SCOPE, "fr/vm", hard=False)
    await library.create(_SCOPE, prompt)


async def test_a_deleted_document_is_gone_for_everybody(library: Library) -> None:
    await library.create(_SCOPE, {"name": "File"}, "x")
    await library.delete(_SCOPE, "x", hard=False)
    for call in (
        library.get(_SCOPE, "x"),
        library.update(_SCOPE, "x", lambda _: {"name": "n"}, {"name": "n"}),
        library.delete(_SCOPE, "x", hard=False),
    ):
        with pytest.raises(MediaNotFoundError):
            await call
    assert (await library.list_page(_SCOPE, MediaQuery(limit=10))).items == []


async def test_an_update_replaces_and_applies_defaults_again(library: Library) -> None:
    await library.create(_SCOPE, {"name": "n", "streamable": False, "extra": 1}, "x")
    updated = await library.update(_SCOPE, "x", lambda _: {"name": "m"}, {"name": "m"})
    assert updated.document["streamable"] is True
    assert "extra" not in updated.document
    assert updated.revision.startswith("2-")


async def test_a_patch_keeps_what_it_does_not_name(library: Library) -> None:
    await library.create(_SCOPE, {"name": "n", "extra": {"a": 1}, "language": "de"}, "x")
    patched = await library.patch(_SCOPE, "x", {"extra": {"b": 2}})
    assert patched.document["extra"] == {"a": 1, "b": 2}
    assert patched.document["language"] == "de"


async def test_a_language_removed_by_a_patch_stays_removed(library: Library) -> None:
    await library.create(_SCOPE, {"name": "n"}, "x")
    assert "language" not in (await library.patch(_SCOPE, "x", {"language": None})).document
    assert "language" not in (await library.patch(_SCOPE, "x", {"name": "m"})).document


async def test_a_prompt_can_not_become_another(library: Library) -> None:
    await library.create(_SCOPE, {"name": "n", "prompt_id": "vm", "language": "fr"})
    for changes in ({"language": "de"}, {"prompt_id": "other"}):
        with pytest.raises(ValidationError) as caught:
            await library.patch(_SCOPE, "fr/vm", changes)
        assert set(caught.value.kazoo_data) == {"prompt_id"}  # type: ignore[call-overload]


async def test_a_wrong_revision_changes_nothing(library: Library) -> None:
    made = await library.create(_SCOPE, {"name": "n"}, "x")
    with pytest.raises(PreconditionFailedError):
        await library.update(_SCOPE, "x", lambda _: {"name": "m"}, {"name": "m"}, "9-ff")
    with pytest.raises(PreconditionFailedError):
        await library.delete(_SCOPE, "x", hard=True, if_revision="9-ff")
    assert await library.get(_SCOPE, "x") == made
    await library.update(_SCOPE, "x", lambda _: {"name": "m"}, {"name": "m"}, made.revision)


async def test_racing_patches_are_all_kept(library: Library) -> None:
    await library.create(_SCOPE, {"name": "n"}, "x")
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(library.patch(_SCOPE, "x", {f"key{number}": number}))
    document = (await library.get(_SCOPE, "x")).document
    assert {document[f"key{number}"] for number in range(20)} == set(range(20))


async def test_of_racing_creates_of_one_id_one_wins(library: Library) -> None:
    results = await asyncio.gather(
        *(library.create(_SCOPE, {"name": str(n)}, "x") for n in range(50)), return_exceptions=True
    )
    assert sum(isinstance(each, ConflictError) for each in results) == 49


async def test_pages_neither_repeat_nor_drop_what_exists_throughout(library: Library) -> None:
    lasting = {f"k{number:03}" for number in range(0, 60, 2)}
    for media_id in lasting:
        await library.create(_SCOPE, {"name": "n"}, media_id)
    seen: list[str] = []
    start: str | None = None
    for number in range(1, 60, 2):
        page = await library.list_page(_SCOPE, MediaQuery(limit=2, start=start))
        seen += [media.id for media in page.items]
        start = page.next_start
        if start is None:
            break
        await library.create(_SCOPE, {"name": "n"}, f"k{number:03}")
    assert len(seen) == len(set(seen))
    assert lasting <= set(seen)


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_of_large_documents_are_short_and_complete(
    tmp_path: Path, *, descending: bool
) -> None:
    store = await SqliteMetadataStore.open(tmp_path / "db", shared=False)
    library = (await make_core(store)).core.library
    ids = [f"{number}" for number in range(9)]
    for media_id in ids:
        await library.create(_SCOPE, {"name": "n", "note": "x" * 400_000}, media_id)
    query = MediaQuery(limit=100, descending=descending)
    sizes, seen = [], []
    while True:
        page = await library.list_page(_SCOPE, query)
        sizes.append(len(page.items))
        seen += [media.id for media in page.items]
        if page.next_start is None:
            break
        query = replace(query, start=page.next_start)
    await store.aclose()
    assert sizes == [3, 3, 3]
    assert seen == sorted(ids, reverse=descending)


async def test_iterate_yields_everything_in_order(library: Library) -> None:
    ids = [f"{number:04}" for number in range(1203)]
    for media_id in ids:
        await library.create(_SCOPE, {"name": "n"}, media_id)
    assert [media.id async for media in library.iterate(_SCOPE, MediaQuery(limit=1))] == ids
