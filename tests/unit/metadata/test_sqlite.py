"""What is SQLite's own: files, schema versions, group commit, several processes."""

from __future__ import annotations

import asyncio
import fcntl
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from kazoo_media.errors import MediaError, StorageFullError, StoreUnavailableError
from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.metadata.sqlite_engine import SqliteEngine
from kazoo_media.model import Account, MediaQuery
from kazoo_media.start_error import StartError
from tests.contract.media_samples import ACCOUNT, make_content, make_media, upload
from tests.support.counted import Counted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.sqlite"


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[SqliteEngine]:
    engine = await asyncio.to_thread(lambda: SqliteEngine(path, shared=False))
    await engine.write(lambda db: db.execute("create table t (n integer)"))
    yield engine
    await engine.aclose()


async def test_processes_that_share_a_database_write_one_after_another(path: Path) -> None:
    engine = await asyncio.to_thread(lambda: SqliteEngine(path, shared=True))

    def is_free() -> bool:
        with open(f"{path}.lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    assert not await engine.write(lambda _: is_free())
    assert await asyncio.to_thread(is_free)
    await engine.aclose()


_LONG_READ = (
    "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < ?)"
    " select count(*) from numbers"
)


async def test_a_long_read_leaves_the_loop_and_is_complete(engine: SqliteEngine) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.ensure_future(take_turns())
    await asyncio.sleep(0)
    before = turns
    assert await engine.read_few(_LONG_READ, (1_000_000,)) == [(1_000_000,)]
    others.cancel()
    assert turns - before > 10
    assert await engine.read_few(_LONG_READ, (10,)) == [(10,)]


def _insert(number: int, db: Session) -> None:
    db.execute("insert into t values (?)", (number,))


async def _count(engine: SqliteEngine) -> int:
    [[count]] = await engine.read_rows("select count(*) from t", ())
    return int(count)


async def test_everything_is_there_after_closing_and_opening_again(path: Path) -> None:
    store = await SqliteMetadataStore.open(path, shared=False)
    media = make_media(name="x")
    await store.insert_media(media)
    media = await upload(store, media, make_content(3))
    await store.insert_account(Account("a", "n", ("root",), 1), "digest")
    rows, revision = await store.list_blobs("", 9), await store.settings_revision()
    await store.aclose()
    store = await SqliteMetadataStore.open(path, shared=False)
    assert await store.get_media(ACCOUNT, "m") == media
    assert await store.list_blobs("", 9) == rows
    assert await store.find_account("digest") == Account("a", "n", ("root",), 1)
    assert await store.settings_revision() == revision
    await store.aclose()


async def test_a_list_does_not_read_what_it_does_not_show_of_large_documents(path: Path) -> None:
    store = await SqliteMetadataStore.open(path, shared=False)
    document = {"name": "n", "note": "x" * 1_000_000}
    for number in range(20):
        await store.insert_media(replace(make_media(str(number)), document=document))
    listed = await store.list_documents(ACCOUNT, MediaQuery(100))
    await store.aclose()
    assert len(listed) == 20
    assert sum(len(str(each.document)) for each in listed) < 20_000


async def test_closing_finishes_accepted_writes_and_refuses_later_ones(path: Path) -> None:
    store = await SqliteMetadataStore.open(path, shared=False)
    async with asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(store.insert_media(make_media(str(number))))
        await asyncio.sleep(0)
        await store.aclose()
    await store.aclose()
    for attempt in (
        store.insert_media(make_media("late")),
        store.get_media(ACCOUNT, "1"),
        store.list_media(ACCOUNT, MediaQuery(1)),
    ):
        with pytest.raises(StoreUnavailableError):
            await attempt
    store = await SqliteMetadataStore.open(path, shared=False)
    assert len(await store.list_media(ACCOUNT, MediaQuery(1000))) == 500
    await store.aclose()


async def test_only_the_owner_may_read_the_files(path: Path) -> None:
    store = await SqliteMetadataStore.open(path, shared=True)
    await store.insert_media(make_media())
    modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {0o600}
    await store.aclose()


def _execute(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql)
    db.close()


async def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    await (await SqliteMetadataStore.open(path, shared=False)).aclose()
    _execute(path, "update schema_version set version = version + 1000")
    with pytest.raises(StartError, match=r"version 1\d{3}.*newer kazoo-media"):
        await SqliteMetadataStore.open(path, shared=False)
    _execute(path, "update schema_version set version = version - 1000")
    await (await SqliteMetadataStore.open(path, shared=False)).aclose()


@pytest.mark.parametrize(
    "damage",
    [
        "delete from schema_version",
        "update schema_version set version = 'x'",
        "update schema_version set version = 0",
        "drop table schema_version",
    ],
)
async def test_an_unreadable_schema_version_is_refused(path: Path, damage: str) -> None:
    await (await SqliteMetadataStore.open(path, shared=False)).aclose()
    _execute(path, damage)
    with pytest.raises(StartError, match="schema version"):
        await SqliteMetadataStore.open(path, shared=False)


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    text = "not a database, " * 100
    await asyncio.to_thread(path.write_text, text)
    with pytest.raises(StartError, match="not a database"):
        await SqliteMetadataStore.open(path, shared=False)
    assert await asyncio.to_thread(path.read_text) == text


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"missing/.*No such file"):
        await SqliteMetadataStore.open(tmp_path / "missing" / "m.sqlite", shared=False)


async def test_several_openers_of_a_new_database_agree(path: Path) -> None:
    stores = await asyncio.gather(*(SqliteMetadataStore.open(path, shared=True) for _ in range(4)))
    await asyncio.gather(
        *(
            store.insert_media(make_media(f"{number}-{turn}"))
            for turn in range(25)
            for number, store in enumerate(stores)
        )
    )
    for store in stores:
        assert len(await store.list_media(ACCOUNT, MediaQuery(1000))) == 100
        assert await store.get_media(ACCOUNT, "0-24") is not None
        await store.aclose()


async def test_waiting_writes_share_one_transaction(engine: SqliteEngine) -> None:
    [[before]] = await engine.read_rows("pragma data_version", ())
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(engine.write(partial(_insert, number)))
    [[after]] = await engine.read_rows("pragma data_version", ())
    assert await _count(engine) == 200
    assert after - before < 20


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (apsw.FullError(), StorageFullError),
        (apsw.IOError(), StoreUnavailableError),
        (apsw.BusyError(), StoreUnavailableError),
        (OSError(28, "No space left on device"), StorageFullError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
async def test_a_failing_write_fails_alone(
    engine: SqliteEngine, failure: Exception, expected: type[Exception]
) -> None:
    insert = partial(_insert, 1)

    def fail(db: Session) -> None:
        insert(db)
        raise failure

    results = await asyncio.gather(
        *(engine.write(work) for _ in range(5) for work in (insert, fail)), return_exceptions=True
    )
    assert results[0::2] == [None] * 5
    assert [type(each) for each in results[1::2]] == [expected] * 5
    assert await _count(engine) == 5


async def test_a_transaction_that_sqlite_gave_up_fails_as_a_whole(engine: SqliteEngine) -> None:
    insert = partial(_insert, 1)

    def give_up(db: Session) -> None:
        db.execute("rollback")
        raise apsw.FullError

    results = await asyncio.gather(
        engine.write(insert), engine.write(insert), engine.write(give_up), return_exceptions=True
    )
    failed = [each for each in results if isinstance(each, MediaError)]
    assert failed
    assert {type(each) for each in failed} == {StorageFullError}
    assert await _count(engine) == 3 - len(failed)
    await engine.write(insert)
    assert await _count(engine) == 4 - len(failed)


async def test_a_write_cancelled_before_its_turn_is_not_done(engine: SqliteEngine) -> None:
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(engine.write(lambda db: db.execute(_SLOW_SQL).fetchall() and None))
        await asyncio.sleep(0)
        late = group.create_task(engine.write(partial(_insert, 1)))
        await asyncio.sleep(0)
        late.cancel()
    assert slow.done()
    assert await _count(engine) == 0


_SLOW_SQL = (
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < 500000)"
    " select max(n) from c"
)


async def test_a_busy_database_is_read_in_a_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        def execute(self, *_: Any) -> None:
            raise apsw.BusyError

    store = await SqliteMetadataStore.open(path, shared=False)
    media = make_media()
    await store.insert_media(media)
    with monkeypatch.context() as patch:
        patch.setattr(store._engine, "_loop_reader", Busy())
        assert await store.get_media(ACCOUNT, "m") == media
    await store.aclose()


async def test_a_damaged_database_is_an_unavailable_store(path: Path) -> None:
    store = await SqliteMetadataStore.open(path, shared=False)
    await store.insert_media(make_media())
    _execute(path, "drop table account; drop table setting")
    for attempt in (
        store.get_account("a"),
        store.list_accounts(None, "", 9),
        store.remove_setting("a", "b", "c"),
    ):
        with pytest.raises(StoreUnavailableError):
            await attempt
    assert await store.get_media(ACCOUNT, "m") is not None
    await store.aclose()


async def test_commits_and_failures_are_counted(path: Path) -> None:
    metrics = Counted()
    store = await SqliteMetadataStore.open(path, shared=False, metrics=metrics)
    await store.insert_media(make_media())
    assert metrics.value("commit_seconds_count") == 1
    _execute(path, "drop table account; drop table setting")
    for attempt in (store.get_account("a"), store.remove_setting("a", "b", "c")):
        with pytest.raises(StoreUnavailableError):
            await attempt
    for operation in ("read", "write"):
        labels = {"store": "metadata", "operation": operation}
        reason = StoreUnavailableError.reason
        assert metrics.value("store_errors_total", reason=reason, **labels) == 1
    assert metrics.value("store_seconds_count", store="metadata", operation="write") == 1
    await store.aclose()
