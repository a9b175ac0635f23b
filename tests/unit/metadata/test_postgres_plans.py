"""An index is behind every list, count and sweep in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import psycopg
import pytest

from kazoo_media.metadata.postgres import PostgresMetadataStore
from kazoo_media.metadata.uploads import Piece
from kazoo_media.model import Filter, FilterOperator, Keep, MediaQuery, SettingRow
from tests.contract.media_samples import make_content, make_media, saved_with
from tests.contract.metadata_uploads import appending, make_upload, unchanged
from tests.support.postgres import PostgresServer
from tests.support.repetitions import repetitions

_ROWS = repetitions(20_000, 1_000_000)
_ACCOUNT = "a1"
_SOME = 99
_SORTED_ROWS = 1_000
"""A page may be sorted, a table may not."""

_FILL = f"""
insert into media (account, id, rev, created, modified, deleted_at, language, prompt_id,
    original_key, normalized_key, doc, recorded, file_name)
select 'a' || n % 2, 'm' || n, '1-x', n, n, case when n % 10 = 7 then n end,
    case when n % 3 > 0 then 'l' || n % 7 end, case when n % 5 = 0 then 'p' || n % 1000 end,
    'k' || n, 'j' || n,
    json_build_object('name', 'n' || n, 'description', repeat('x', 200)), (n % 4 = 1)::integer,
    case when n % 8 = 1 then 'f' || n else '' end
from generate_series(1, {_ROWS}) n;
insert into blob (account, key, state, touched, size, damaged, checked)
select 'a' || n % 2, k || n, case when n % 50 = 0 then 'dead' when n % 50 = 1 then 'pending'
    else 'live' end, n, 1, (n % 5000 = 2)::integer, n
from generate_series(1, {_ROWS}) n, (values ('k'), ('j')) keys (k);
insert into media_version select 'a' || n % 2, 'm' || n, 1, n, 'v' || n, null, '{{}}'
from generate_series(1, {_ROWS}) n;
insert into peaks select 'a' || n % 2, 'k' || n, 'x'::bytea from generate_series(1, {_ROWS}) n;
insert into account select 'a' || n, 'n' || n, 'r' || n, 'en', 0, n, '[]', 'h' || n, 1, 'n' || n,
    'r' || n from generate_series(1, {_ROWS}) n;
insert into account_ancestor select 'a' || n % 100, 'a' || n from generate_series(1, {_ROWS}) n;
insert into "user" select 'a' || n % 100, 'u' || n, 'i' || n, n from generate_series(1, {_ROWS}) n;
insert into user_credential select 'a' || n % 100, 'd' || n, 'u' || n
from generate_series(1, {_ROWS}) n;
insert into playback_key select 'a' || n % 10000, 'i' || n, 'n', n, 's' || n
from generate_series(1, {_ROWS}) n;
insert into link_secret select 'a' || n, 's' from generate_series(1, {_ROWS}) n;
insert into upload (account, id, state, media_id, created, touched, epoch, persisted_size, crc32c,
    pieces_end, outside_pause, stream_pause, resumes, marks, ending, holder, received, error,
    archiving, spec)
select 'a' || n % 2, 'u' || n, case when n % 20 = 0 then 'receiving' else 'finished' end, 'm', n, n,
    1, 9, 0, 0, '', '', 0, '[]', '', '', 0, '', 0, '{{}}' from generate_series(1, {_ROWS}) n;
insert into piece select 'a' || n % 2, 'u' || n, 0, 5, 'b' || n from generate_series(1, {_ROWS}) n;
insert into tail select 'a' || n % 2, 'u' || n, 5, 'abcd'::bytea from generate_series(1, {_ROWS}) n;
insert into text_file select 'a' || n % 2000, 't' || n, n, 'x'::bytea
from generate_series(1, {_ROWS}) n;
vacuum analyze
"""


class Plans:
    """The plans of the statements that run: a statement reads no table from end to end."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.bad: list[str] = []

    def check(self, sql: str, plan: Mapping[str, Any]) -> None:
        self.seen.add(sql)
        for node in _nodes(plan):
            sorts_much = node["Node Type"] == "Sort" and node["Plan Rows"] > _SORTED_ROWS
            scans = node["Node Type"] == "Seq Scan" and node["Relation Name"] not in _SMALL
            if sorts_much or scans:
                self.bad.append(f"{node['Node Type']} {node.get('Relation Name', '')}: {sql}")


_SMALL = ("cluster", "schema_version", "setting", "settings_revision", "signing_key", "write_mark")


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    """Explain every statement before it runs."""
    plans = Plans()
    execute = psycopg.Connection.execute

    def explained(connection: Any, query: Any, params: Any = None, **options: Any) -> Any:
        sql = query.decode() if isinstance(query, bytes) else str(query)
        if sql.startswith(("select", "update", "delete", "insert into tail select")):
            asked = execute(connection, f"explain (format json) {sql}".encode(), params)
            plans.check(sql, orjson.loads(asked.fetchall()[0][0])[0]["Plan"])
        return execute(connection, query, params, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", explained)
    return plans


async def _lists(store: PostgresMetadataStore) -> None:
    filters = (Filter(("name",), FilterOperator.EQUALS, ("n5",)),)
    for query in (
        MediaQuery(_SOME),
        MediaQuery(_SOME, start="m5", descending=True),
        MediaQuery(_SOME, filters=filters, with_recordings=False),
        MediaQuery(_SOME, deleted=True),
        MediaQuery(_SOME, created_from_ms=5, modified_to_ms=_ROWS),
    ):
        await store.list_media(_ACCOUNT, query)
        await store.list_documents(_ACCOUNT, query)
    await store.list_recordings(_ACCOUNT, MediaQuery(_SOME, created_from_ms=9), (99, "m9"))
    await store.find_recording(_ACCOUNT, "f9")
    await store.count_prompts(_ACCOUNT, "p1", _SOME)
    await store.count_languages(_ACCOUNT)
    await store.list_translations(_ACCOUNT, "p5", "", _SOME)
    for language in ("l1", None):
        await store.list_language_ids(_ACCOUNT, language, "", _SOME)
    await store.list_versions(_ACCOUNT, "m5")
    await store.list_accounts("a5", "", _SOME)
    await store.list_accounts(None, "", _SOME)
    await store.find_account("h5")
    await store.find_named_account("n5", "")
    await store.find_named_account("", "r5")
    await store.find_user("a5", "d5")
    await store.list_playback_keys("a5")
    await store.find_playback_key("s5")
    await store.list_uploads(_ACCOUNT, "", _SOME)


async def _sweeps(store: PostgresMetadataStore) -> None:
    await store.list_dead(_SOME * 5, _SOME)
    await store.expire_pending(_SOME, 1)
    await store.list_blobs("", _SOME)
    await store.list_unchecked(_SOME, _SOME, damaged=True)
    await store.put_checked(await store.list_unchecked(_SOME, _SOME, damaged=False), 5)
    await store.forget_blobs(await store.list_dead(_SOME, _SOME))
    await store.list_idle_uploads(_ROWS, ("", ""), _SOME)
    await store.forget_uploads(_SOME)
    await store.purge_media(_ACCOUNT, _SOME, _SOME, 1)


async def _changes(store: PostgresMetadataStore) -> None:
    media = make_media("m", _ACCOUNT)
    await store.insert_media(media)
    content = make_content(1)
    keys = [each.blob_key for each in content.renditions]
    await store.begin_upload(_ACCOUNT, keys, 1)
    await store.touch_blobs(_ACCOUNT, keys, 1)
    saved = saved_with(media, content)
    await store.commit_content(saved, media.revision, 1, Keep(3))
    await store.soft_delete_media(_ACCOUNT, "m", saved.revision, 5)
    await store.restore_media(saved, saved.revision)
    await store.remove_media(_ACCOUNT, "m", saved.revision, 5)
    await store.abandon_blobs(_ACCOUNT, keys, 5)
    row = make_upload("u", _ACCOUNT)
    await store.open_upload(row, _ROWS, unchanged)
    await store.append_tails([appending(b"abcd", row)])
    await store.append_tails([appending(b"efgh", row)])
    await store.read_upload(_ACCOUNT, "u", 2, 9)
    [key, _] = keys = [f"x{number}" for number in range(2)]
    await store.begin_upload(_ACCOUNT, keys, 1)
    assert await store.add_piece(Piece(_ACCOUNT, "u", 0, 6, key, "0" * 64), 1)
    await store.discard_upload(_ACCOUNT, "u", unchanged, 5)
    await store.put_text_file(_ACCOUNT, "t", b"x", 1, 5)
    await store.put_setting(SettingRow("test", "default", "key", 1))


async def test_an_index_is_behind_every_list_count_and_sweep(
    postgres: PostgresServer, plans: Plans
) -> None:
    database = await asyncio.to_thread(postgres.make_database)
    store = await PostgresMetadataStore.open(postgres.url(database))
    await asyncio.to_thread(postgres.execute, database, _FILL)
    await _lists(store)
    await _sweeps(store)
    await _changes(store)
    await store.aclose()
    assert len(plans.seen) > 50
    assert plans.bad == []
