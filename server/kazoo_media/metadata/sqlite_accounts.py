"""Writes of accounts; each function runs inside a transaction."""

from __future__ import annotations

import apsw
import orjson

from kazoo_media.errors import ConflictError, NameTakenError
from kazoo_media.model import Account, account_key


def insert_account(db: apsw.Connection, account: Account, api_key_sha256: str) -> None:
    """Add an account; see the contract."""
    name_key, realm_key = account_key(account.name), account.realm.lower()
    db.execute(
        "insert into account values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            account.id,
            account.name,
            account.realm,
            account.language,
            account.superduper_admin,
            account.created_ms,
            orjson.dumps(account.ancestor_ids).decode(),
            api_key_sha256,
            account.key_generation,
            name_key,
            realm_key,
        ),
    )
    if db.changes() == 0:
        if _has(db, "id", account.id):
            raise ConflictError(account.id)
        if _has(db, "name_key", name_key):
            raise NameTakenError(field="name", value=account.name)
        raise NameTakenError(field="realm", value=account.realm)
    db.executemany(
        "insert into account_ancestor values (?, ?)",
        [(ancestor, account.id) for ancestor in account.ancestor_ids],
    )


def _has(db: apsw.Connection, column: str, value: str) -> bool:
    sql = f"select 1 from account where {column} = ? and {column} <> ''"  # noqa: S608, no outside text
    return bool(db.execute(sql, (value,)).fetchall())
