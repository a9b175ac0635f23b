"""Accounts, their users, playback keys and link secrets: a part of a driver."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, replace

import orjson
from typing_extensions import override

from kazoo_media.errors import ConflictError, NameTakenError
from kazoo_media.metadata.engine import Engine, Session
from kazoo_media.metadata.link_secret_store import LinkSecretStore
from kazoo_media.metadata.rows import SELECT_ACCOUNT, account_of
from kazoo_media.metadata.store import AccountStore, PlaybackKeyStore
from kazoo_media.model import Account, PlaybackKey, User, account_key

_GET_ACCOUNT = f"{SELECT_ACCOUNT} where a.id = ?"
_FIND_ACCOUNT = f"{SELECT_ACCOUNT} where a.api_key_sha256 = ?"
_SELECT_LINK = "select secret from link_secret where account = ?"
_SELECT_PLAYBACK_KEY = "select account, id, name, created from playback_key"


class SqlAccounts(AccountStore, PlaybackKeyStore, LinkSecretStore):
    """Accounts on the driver's engine."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def insert_account(self, account: Account, api_key_sha256: str) -> None:
        await self._engine.write(lambda db: _insert_account(db, account, api_key_sha256))

    @override
    async def get_account(self, account_id: str) -> Account | None:
        row = await self._engine.read_row(_GET_ACCOUNT, (account_id,))
        return None if row is None else account_of(row)

    @override
    async def find_account(self, api_key_sha256: str) -> Account | None:
        row = await self._engine.read_row(_FIND_ACCOUNT, (api_key_sha256,))
        return None if row is None else account_of(row)

    @override
    async def list_accounts(self, ancestor_id: str | None, start: str, limit: int) -> list[Account]:
        if ancestor_id is None:
            sql = f"{SELECT_ACCOUNT} where a.id >= ? order by a.id limit ?"
            bindings: tuple[str, ...] = (start,)
        else:
            sql = (
                f"{SELECT_ACCOUNT} join account_ancestor t on t.account = a.id"
                " where t.ancestor = ? and t.account >= ? order by t.account limit ?"
            )
            bindings = (ancestor_id, start)
        return [account_of(row) for row in await self._engine.read_rows(sql, (*bindings, limit))]

    @override
    async def replace_api_key(self, account_id: str, api_key_sha256: str) -> Account | None:
        return await self._engine.write(lambda db: _replace_api_key(db, account_id, api_key_sha256))

    @override
    async def find_named_account(self, name_key: str, realm: str) -> Account | None:
        column, wanted = ("name_key", name_key) if name_key else ("realm_key", realm)
        # The unique indexes leave out empty keys; the second condition lets the database use them.
        sql = f"{SELECT_ACCOUNT} where a.{column} = ? and a.{column} <> ''"
        row = await self._engine.read_row(sql, (wanted,))
        return None if row is None else account_of(row)

    @override
    async def put_user(self, user: User, credential_digests: Sequence[str]) -> User:
        return await self._engine.write(lambda db: _put_user(db, user, credential_digests))

    @override
    async def find_user(self, account_id: str, credential_digest: str) -> User | None:
        rows = await self._engine.read_rows(
            "select u.account, u.id, u.name, u.created from user_credential c"
            ' join "user" u on u.account = c.account and u.name = c.name'
            " where c.account = ? and c.digest = ?",
            (account_id, credential_digest),
        )
        return User(*rows[0]) if rows else None

    @override
    async def add_playback_key(self, key: PlaybackKey, sha256: str) -> None:
        await self._engine.execute(
            "insert into playback_key values (?, ?, ?, ?, ?)", (*astuple(key), sha256)
        )

    @override
    async def find_playback_key(self, sha256: str) -> PlaybackKey | None:
        row = await self._engine.read_row(f"{_SELECT_PLAYBACK_KEY} where sha256 = ?", (sha256,))
        return None if row is None else PlaybackKey(*row)

    @override
    async def list_playback_keys(self, account_id: str) -> list[PlaybackKey]:
        sql = f"{_SELECT_PLAYBACK_KEY} where account = ? order by created, id"
        return [PlaybackKey(*row) for row in await self._engine.read_rows(sql, (account_id,))]

    @override
    async def remove_playback_key(self, account_id: str, key_id: str) -> bool:
        sql = "delete from playback_key where account = ? and id = ?"
        return await self._engine.execute(sql, (account_id, key_id), frees_space=True) > 0

    @override
    async def get_link_secret(self, account_id: str) -> str | None:
        row = await self._engine.read_row(_SELECT_LINK, (account_id,))
        return None if row is None else str(row[0])

    @override
    async def add_link_secret(self, account_id: str, secret: str) -> str:
        def add(db: Session) -> str:
            sql = "insert into link_secret values (?, ?) on conflict do nothing"
            db.execute(sql, (account_id, secret))
            [[kept]] = db.execute(_SELECT_LINK, (account_id,)).fetchall()
            return str(kept)

        return await self._engine.write(add)

    @override
    async def replace_link_secret(self, account_id: str, secret: str) -> None:
        sql = "update link_secret set secret = ? where account = ?"
        await self._engine.execute(sql, (secret, account_id))


def _insert_account(db: Session, account: Account, api_key_sha256: str) -> None:
    """Add an account; see the contract."""
    name_key, realm_key = account_key(account.name), account.realm.lower()
    db.execute(
        "insert into account values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            account.id,
            account.name,
            account.realm,
            account.language,
            int(account.superduper_admin),
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


def _replace_api_key(db: Session, account_id: str, api_key_sha256: str) -> Account | None:
    """Replace the key and begin its next generation; see the contract."""
    db.execute(
        "update account set api_key_sha256 = ?, key_generation = key_generation + 1 where id = ?",
        (api_key_sha256, account_id),
    )
    rows = db.execute(_GET_ACCOUNT, (account_id,)).fetchall()
    return account_of(rows[0]) if rows else None


def _put_user(db: Session, user: User, credential_digests: Sequence[str]) -> User:
    """Add a user or replace their credentials; see the contract."""
    db.execute(
        # The update locks the row: who replaces the credentials at the same moment has to wait.
        'insert into "user" values (?, ?, ?, ?) on conflict (account, name)'
        " do update set name = excluded.name",
        (user.account_id, user.name, user.id, user.created_ms),
    )
    name = (user.account_id, user.name)
    db.execute("delete from user_credential where account = ? and name = ?", name)
    db.executemany(
        "insert into user_credential values (?, ?, ?)",
        [(user.account_id, digest, user.name) for digest in credential_digests],
    )
    sql = 'select id, created from "user" where account = ? and name = ?'
    [row] = db.execute(sql, name).fetchall()
    return replace(user, id=str(row[0]), created_ms=int(row[1]))


def _has(db: Session, column: str, value: str) -> bool:
    sql = f"select 1 from account where {column} = ? and {column} <> ''"  # noqa: S608, no outside text
    return bool(db.execute(sql, (value,)).fetchall())
