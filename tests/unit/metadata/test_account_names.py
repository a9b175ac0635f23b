"""Databases of an older version, in which accounts could have the same name or realm."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from kazoo_media.errors import NameTakenError
from kazoo_media.metadata.sqlite import SqliteMetadataStore
from kazoo_media.model import Account, account_key

_OLD_SCHEMA = (
    importlib.resources.files("kazoo_media.metadata") / "schema" / "sqlite" / "0001_initial.sql"
)

_Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> _Make:
    """Return a function that makes an older database with accounts of these names and realms.

    The ids of the accounts are a, b, c, ...; later ones are younger.
    """

    def make(*names_and_realms: tuple[str, str]) -> Path:
        path = tmp_path / "m.sqlite"
        db = apsw.Connection(str(path))
        db.execute(_OLD_SCHEMA.read_text())
        db.execute(
            "create table schema_version (one integer not null primary key, version integer)"
        )
        db.execute("insert into schema_version values (1, 1)")
        for number, (name, realm) in enumerate(names_and_realms):
            account_id = chr(ord("a") + number)
            db.execute(
                "insert into account values (?, ?, ?, 'en-us', 0, ?, '[]', ?, 1, ?, ?)",
                (
                    *(account_id, name, realm, 1000 + number, f"key of {account_id}"),
                    *(account_key(name), realm.lower()),
                ),
            )
        db.close()
        return path

    return make


async def _names(path: Path) -> list[tuple[str, str]]:
    store = await SqliteMetadataStore.open(path, shared=False)
    accounts = await store.list_accounts(None, "", 99)
    await store.aclose()
    return [(each.name, each.realm) for each in accounts]


async def test_of_accounts_with_one_name_the_oldest_keeps_it(make: _Make) -> None:
    path = make(("Acme", ""), ("Other", ""), ("ACME!", ""), ("acme", ""))
    assert [name for name, _ in await _names(path)] == ["Acme", "Other", "ACME! (2)", "acme (3)"]


async def test_of_accounts_with_one_realm_the_oldest_keeps_it(make: _Make) -> None:
    path = make(("a", "sip.example"), ("b", ""), ("c", "SIP.example"), ("d", ""))
    assert [realm for _, realm in await _names(path)] == ["sip.example", "", "SIP.example (2)", ""]


async def test_a_number_that_another_account_has_in_its_name_is_left_out(make: _Make) -> None:
    path = make(("Acme", ""), ("Acme", ""), ("Acme 2", ""), ("acme3", ""))
    assert [name for name, _ in await _names(path)] == ["Acme", "Acme (4)", "Acme 2", "acme3"]


async def test_names_without_a_letter_are_left_as_they_are(make: _Make) -> None:
    assert [name for name, _ in await _names(make(("?!", ""), ("?!", "")))] == ["?!", "?!"]


async def test_a_renamed_account_keeps_its_key_and_is_found_by_its_new_name(make: _Make) -> None:
    store = await SqliteMetadataStore.open(make(("Acme", "x"), ("Acme", "x")), shared=False)
    renamed = await store.find_account("key of b")
    assert renamed is not None
    assert (renamed.id, renamed.name, renamed.realm) == ("b", "Acme (2)", "x (2)")
    assert await store.find_named_account(account_key("acme (2)"), "") == renamed
    assert await store.find_named_account("", "x (2)") == renamed
    with pytest.raises(NameTakenError):
        await store.insert_account(Account("n", "acme 2", (), 1), "key of n")
    await store.aclose()


async def test_a_renaming_is_logged_once(make: _Make) -> None:
    path = make(("Acme", "x"), ("Acme", "y"))
    with capture_logs() as first:
        await _names(path)
    with capture_logs() as second:
        await _names(path)
    [line] = first
    assert line["event"] == "account renamed: an older account has its name"
    assert line["log_level"] == "warning"
    assert (line["account_id"], line["before"], line["after"]) == ("b", "Acme", "Acme (2)")
    assert second == []
