"""Writes of accounts and their users; each function runs inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import apsw
import orjson

from kazoo_media.errors import ConflictError, NameTakenError
from kazoo_media.metadata.rows import SELECT_ACCOUNT, account_of
from kazoo_media.model import Account, User, account_key


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


def replace_api_key(db: apsw.Connection, account_id: str, api_key_sha256: str) -> Account | None:
    """Replace the key and begin its next generation; see the contract."""
    db.execute(
        "update account set api_key_sha256 = ?, key_generation = key_generation + 1 where id = ?",
        (api_key_sha256, account_id),
    )
    rows = db.execute(f"{SELECT_ACCOUNT} where a.id = ?", (account_id,)).fetchall()
    return account_of(rows[0]) if rows else None


def put_user(db: apsw.Connection, user: User, credential_digests: Sequence[str]) -> User:
    """Add a user or replace their credentials; see the contract."""
    db.execute(
        "insert into user values (?, ?, ?, ?) on conflict do nothing",
        (user.account_id, user.name, user.id, user.created_ms),
    )
    name = (user.account_id, user.name)
    db.execute("delete from user_credential where account = ? and name = ?", name)
    db.executemany(
        "insert into user_credential values (?, ?, ?)",
        [(user.account_id, digest, user.name) for digest in credential_digests],
    )
    [row] = db.execute("select id, created from user where account = ? and name = ?", name)
    return replace(user, id=str(row[0]), created_ms=int(row[1]))


def _has(db: apsw.Connection, column: str, value: str) -> bool:
    sql = f"select 1 from account where {column} = ? and {column} <> ''"  # noqa: S608, no outside text
    return bool(db.execute(sql, (value,)).fetchall())
