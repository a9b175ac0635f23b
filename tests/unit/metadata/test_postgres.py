"""What is PostgreSQL's own: starts, conflicts, lost connections, lost answers to commits."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from kazoo_media.errors import StoreUnavailableError, ValidationError
from kazoo_media.metadata.engine import Session
from kazoo_media.metadata.postgres import PostgresMetadataStore
from kazoo_media.metadata.postgres_engine import PostgresEngine
from kazoo_media.metadata.uploads import UploadRow
from kazoo_media.model import MediaQuery, SettingRow
from kazoo_media.start_error import StartError
from tests.contract.media_samples import ACCOUNT, make_content, make_media, upload
from tests.contract.metadata_uploads import appending, make_upload, unchanged
from tests.support.counted import Counted
from tests.support.postgres import PostgresServer
from tests.support.postgres_proxy import CommitCutter, Cut
from tests.support.product import wait_until

_COUNTER = SettingRow("test", "default", "counter", 0)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return postgres.make_database()


@pytest.fixture
async def store(postgres: PostgresServer, database: str) -> AsyncIterator[PostgresMetadataStore]:
    store = await PostgresMetadataStore.open(postgres.url(database))
    yield store
    await store.aclose()
    await asyncio.to_thread(postgres.empty, database)


@pytest.fixture
def network(postgres: PostgresServer) -> Iterator[CommitCutter]:
    with CommitCutter(postgres.folder) as cutter:
        yield cutter


@pytest.fixture
async def cut_store(
    postgres: PostgresServer, database: str, network: CommitCutter
) -> AsyncIterator[PostgresMetadataStore]:
    """Return a store behind a network that can be cut."""
    store = await PostgresMetadataStore.open(postgres.url(database, network.folder))
    yield store
    await store.aclose()
    await asyncio.to_thread(postgres.empty, database)


async def test_nodes_that_open_a_new_database_at_once_agree(postgres: PostgresServer) -> None:
    url = postgres.url(await asyncio.to_thread(postgres.make_database))
    stores = await asyncio.gather(*(PostgresMetadataStore.open(url) for _ in range(6)))
    media = make_media()
    await stores[0].insert_media(media)
    assert [await each.get_media(ACCOUNT, "m") for each in stores] == [media] * 6
    await asyncio.gather(*(each.aclose() for each in stores))


async def test_a_change_of_settings_reaches_another_node(
    store: PostgresMetadataStore, postgres: PostgresServer, database: str
) -> None:
    other = await PostgresMetadataStore.open(postgres.url(database))
    before = await other.settings_revision()
    await store.put_setting(_COUNTER)
    assert await store.settings_revision() > before
    async with asyncio.timeout(20):
        while await other.settings_revision() == before:  # noqa: ASYNC110 - the database has it
            await asyncio.sleep(0.05)
    await other.aclose()


@pytest.mark.parametrize(
    ("sql", "url", "problem"),
    [
        ("update schema_version set version = 1000", "postgresql:///{0}?{1}", "newer than"),
        ("drop table schema_version", "postgresql:///{0}?{1}", "already exists"),
        ("", "postgresql:///missing?{1}", '"missing" does not exist'),
        ("", "postgresql://nobody:topsecret@/{0}?{1}", '"nobody" does not exist'),
        ("", "postgresql://u:topsecret@h/{0}?wrong=1", "libpq cannot read it"),
        ("", "postgresql://u:top/topsecret@h/{0}?{1}", "special characters"),
        ("", "postgresql://u:top@topsecret@h/{0}", "special characters"),
        ("", "postgresql://u:topsecret@/?{1}", "names no database"),
    ],
)
async def test_a_database_that_cannot_be_used_ends_the_start_in_one_line(
    postgres: PostgresServer, sql: str, url: str, problem: str
) -> None:
    name = "postgres"
    if sql:
        name = await asyncio.to_thread(postgres.make_database)
        await (await PostgresMetadataStore.open(postgres.url(name))).aclose()
        await asyncio.to_thread(postgres.execute, name, sql)
    given = url.replace("postgresql:///", "postgresql://postgres@/")
    with pytest.raises(StartError) as caught:
        await PostgresMetadataStore.open(given.format(name, f"host={postgres.folder}"))
    line = str(caught.value)
    assert line.startswith("KAZOO_MEDIA_METADATA_URL: ")
    assert problem in line
    assert "\n" not in line
    assert "topsecret" not in line


async def test_a_start_waits_for_the_server(
    postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(postgres.stop)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("kazoo_media.metadata.postgres_address._START_S", 0.1)
            with pytest.raises(StartError, match=r"^KAZOO_MEDIA_METADATA_URL: .*failed"):
                await PostgresMetadataStore.open(postgres.url(database))
        opening = asyncio.ensure_future(PostgresMetadataStore.open(postgres.url(database)))
        await asyncio.sleep(0)
    finally:
        await asyncio.to_thread(postgres.start)
    await (await opening).aclose()


async def test_another_encoding_is_refused(postgres: PostgresServer) -> None:
    sql = "create database latin encoding 'SQL_ASCII' template template0 locale_provider libc"
    await asyncio.to_thread(postgres.execute, "postgres", f"{sql} locale 'C'")
    with pytest.raises(StartError, match="its encoding is SQL_ASCII"):
        await PostgresMetadataStore.open(postgres.url("latin"))


def _count(db: Session) -> int:
    """Add one to a counter that is read first."""
    key = (_COUNTER.category, _COUNTER.scope, _COUNTER.key)
    where = "where category = ? and scope = ? and key = ?"
    [[value]] = db.execute(f"select value from setting {where}", key).fetchall()
    db.execute(f"update setting set value = ? {where}", (str(int(value) + 1), *key))
    return int(value) + 1


async def test_transactions_that_the_database_takes_back_are_run_again(
    postgres: PostgresServer, database: str, store: PostgresMetadataStore
) -> None:
    await store.put_setting(_COUNTER)
    serializable = "-c default_transaction_isolation=serializable"
    engine = await asyncio.to_thread(PostgresEngine, postgres.url(database, options=serializable))
    counts = await asyncio.gather(*(engine.write(_count) for _ in range(20)))
    await engine.aclose()
    assert sorted(counts) == list(range(1, 21))
    assert await store.list_settings() == [replace(_COUNTER, value=20)]


async def test_of_two_transactions_that_wait_for_each_other_both_succeed(
    postgres: PostgresServer, database: str, store: PostgresMetadataStore
) -> None:
    for key in "ab":
        await store.put_setting(SettingRow("test", "default", key, 0))
    options = "-c deadlock_timeout=10ms"
    engine = await asyncio.to_thread(PostgresEngine, postgres.url(database, options=options))
    meeting = threading.Barrier(2)

    def change(keys: str, tries: list[str], db: Session) -> None:
        sql = "update setting set value = cast(cast(value as integer) + 1 as text) where key = ?"
        db.execute(sql, (keys[0],))
        tries.append(keys)
        if len(tries) == 1:
            meeting.wait()
        db.execute(sql, (keys[1],))

    tries: list[list[str]] = [[], []]
    await asyncio.gather(
        engine.write(partial(change, "ab", tries[0])), engine.write(partial(change, "ba", tries[1]))
    )
    await engine.aclose()
    assert sorted(map(len, tries)) == [1, 2]
    assert [each.value for each in await store.list_settings()] == [2, 2]


async def test_a_restart_of_the_server_costs_no_call(
    postgres: PostgresServer, store: PostgresMetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.metadata.postgres_engine._PATIENCE_S", 60.0)
    await asyncio.gather(*(store.insert_media(make_media(str(number))) for number in range(9)))
    await asyncio.gather(*(store.get_media(ACCOUNT, "1") for _ in range(9)))
    await asyncio.to_thread(postgres.stop, crash=True)
    writing = asyncio.ensure_future(store.insert_media(make_media("while it is down")))
    await asyncio.to_thread(postgres.start)
    await writing
    assert len(await store.list_media(ACCOUNT, MediaQuery(99))) == 10


async def test_a_database_that_stays_away_is_an_unavailable_store(
    cut_store: PostgresMetadataStore, network: CommitCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.metadata.postgres_engine._PATIENCE_S", 0.2)
    metrics = Counted()
    cut_store._engine._metrics = metrics  # type: ignore[attr-defined]
    network.refuses, network.next_cut = True, Cut.COMMIT
    for attempt in (
        cut_store.insert_media(make_media()),
        cut_store.insert_media(make_media()),
    ):
        with pytest.raises(StoreUnavailableError):
            await attempt
    labels = {"store": "metadata", "operation": "write"}
    reason = StoreUnavailableError.reason
    assert metrics.value("store_errors_total", reason=reason, **labels) == 2
    network.refuses = False
    await cut_store.insert_media(make_media())


@pytest.mark.parametrize("cut", [Cut.COMMIT, Cut.ANSWER])
async def test_a_commit_whose_answer_is_lost_is_done_exactly_once(
    cut_store: PostgresMetadataStore, network: CommitCutter, cut: Cut
) -> None:
    media = make_media()
    network.next_cut = cut
    await cut_store.insert_media(media)  # done twice, it would be a conflict
    assert network.has_cut.is_set()
    assert await cut_store.get_media(ACCOUNT, "m") == media
    await cut_store.open_upload(make_upload(), 9, unchanged)
    network.has_cut.clear()
    network.next_cut = cut
    [row] = await cut_store.append_tails([appending(b"abc")])
    assert network.has_cut.is_set()
    assert isinstance(row, UploadRow)
    assert row.persisted_size == 3
    assert await cut_store.read_upload(ACCOUNT, "u", 0, 9) == b"abc"
    network.next_cut = cut
    content = make_content(1)
    saved = await upload(cut_store, media, content)
    assert await cut_store.get_media(ACCOUNT, "m") == saved


async def test_nothing_is_answered_on_a_guess(
    cut_store: PostgresMetadataStore, network: CommitCutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kazoo_media.metadata.postgres_engine._PATIENCE_S", 0.2)
    network.refuses, network.next_cut = True, Cut.ANSWER
    media = make_media()
    with pytest.raises(StoreUnavailableError):
        await cut_store.insert_media(media)
    network.refuses = False
    assert await cut_store.get_media(ACCOUNT, "m") == media


_STANDBY = "alter system set synchronous_standby_names = '{}'; select pg_reload_conf()"
_WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep' and pid <> %s"


@pytest.fixture
def without_standby(postgres: PostgresServer) -> Iterator[None]:
    """Let the server wait for a standby that there is not."""
    postgres.execute("postgres", _STANDBY.format("missing"))
    yield
    postgres.execute("postgres", _STANDBY.format(""))


async def _hanging_write(
    postgres: PostgresServer, store: PostgresMetadataStore
) -> tuple[asyncio.Future[None], str, int]:
    """Return a write that waits for the standby, its media, and the process of the server."""
    for number in itertools.count():  # the server takes its new settings up by and by
        writing = asyncio.ensure_future(store.insert_media(make_media(str(number))))
        found = await _waiting(postgres, 0, writing)
        if found:
            return writing, str(number), found
    raise AssertionError


async def _waiting(postgres: PostgresServer, known: int, writing: asyncio.Future[None]) -> int:
    """Return the process, other than a known one, that waits; 0 if the write has ended."""
    found: list[Any] = []

    def is_decided() -> bool:
        found[:] = postgres.rows("postgres", _WAITING, known)
        return bool(found) or writing.done()

    await asyncio.to_thread(wait_until, is_decided, "a commit waits for the standby or has ended")
    return int(found[0][0]) if found else 0


async def test_a_commit_that_the_standby_did_not_confirm_is_not_acknowledged(
    postgres: PostgresServer, store: PostgresMetadataStore, without_standby: None
) -> None:
    writing, media_id, process = await _hanging_write(postgres, store)
    sql = f"select pg_cancel_backend({process})"
    await asyncio.to_thread(postgres.execute, "postgres", sql)
    with pytest.raises(StoreUnavailableError):
        await writing
    assert await store.get_media(ACCOUNT, media_id) is not None


async def test_commits_without_the_standby_do_not_hold_up_all_others_for_ever(
    postgres: PostgresServer,
    store: PostgresMetadataStore,
    without_standby: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing, _, _ = await _hanging_write(postgres, store)
    more = [asyncio.ensure_future(store.insert_media(make_media(each))) for each in "abc"]

    def all_hang() -> bool:
        return len(postgres.rows("postgres", _WAITING, 0)) == 4

    await asyncio.to_thread(wait_until, all_hang, "four commits wait for the standby")
    monkeypatch.setattr("kazoo_media.metadata.postgres_engine._PATIENCE_S", 0.1)
    with pytest.raises(StoreUnavailableError):
        await store.insert_media(make_media("d"))
    await asyncio.to_thread(postgres.execute, "postgres", _STANDBY.format(""))
    await asyncio.gather(writing, *more)
    assert await store.get_media(ACCOUNT, "d") is None


async def test_a_commit_that_is_cut_off_is_acknowledged_when_the_standby_has_it(
    postgres: PostgresServer, store: PostgresMetadataStore, without_standby: None
) -> None:
    writing, media_id, process = await _hanging_write(postgres, store)
    sql = f"select pg_terminate_backend({process})"
    await asyncio.to_thread(postgres.execute, "postgres", sql)
    assert await _waiting(postgres, process, writing)
    assert await store.get_media(ACCOUNT, media_id) is not None
    assert not writing.done()
    await asyncio.to_thread(postgres.execute, "postgres", _STANDBY.format(""))
    await writing
    assert len(await store.list_media(ACCOUNT, MediaQuery(999))) == int(media_id) + 1


async def test_a_text_that_the_database_cannot_store_is_refused(
    store: PostgresMetadataStore,
) -> None:
    with pytest.raises(ValidationError):
        await store.get_media(ACCOUNT, "a\0b")


async def test_closing_finishes_accepted_writes_and_refuses_later_ones(
    postgres: PostgresServer, database: str, store: PostgresMetadataStore
) -> None:
    other = await PostgresMetadataStore.open(postgres.url(database))
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(other.insert_media(make_media(str(number))))
        await asyncio.sleep(0)
        await other.aclose()
    await other.aclose()
    with pytest.raises(StoreUnavailableError):
        await other.get_media(ACCOUNT, "1")
    assert len(await store.list_media(ACCOUNT, MediaQuery(99))) == 50


async def test_a_page_reads_no_more_of_long_documents_than_it_may(
    store: PostgresMetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        media = make_media(str(number), note="x" * 400_000)
        await store.insert_media(media)
    read: list[Any] = []
    engine = store._engine
    original = engine.read_rows

    async def read_rows(*arguments: Any) -> Any:
        read.append(await original(*arguments))
        return read[-1]

    monkeypatch.setattr(engine, "read_rows", read_rows)
    listed = await store.list_media(ACCOUNT, MediaQuery(99))
    assert [each.id for each in listed] == ["0", "1", "2"]
    assert [len(each) for each in read] == [3]


async def test_waits_for_a_connection_are_counted(store: PostgresMetadataStore) -> None:
    metrics = Counted()
    engine = store._engine
    assert isinstance(engine, PostgresEngine)
    engine._metrics = metrics
    all_read, go_on = threading.Barrier(5), threading.Event()

    def read(db: Session) -> None:
        db.execute("select 1").fetchall()
        all_read.wait(10)
        go_on.wait(10)

    reading = [asyncio.ensure_future(engine.read(read)) for _ in range(4)]
    await asyncio.to_thread(all_read.wait, 10)
    waiting = asyncio.ensure_future(store.get_account("a"))
    await asyncio.sleep(0.01)  # a shorter wait is not counted
    go_on.set()
    await asyncio.gather(waiting, *reading)
    assert metrics.value("queue_wait_seconds_count", queue="postgres_read") >= 1
    assert metrics.value("store_seconds_count", store="metadata", operation="read") == 5
