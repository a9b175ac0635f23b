"""Settings, signing keys and what all nodes share: a part of a driver."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import orjson
from typing_extensions import override

from kazoo_media.errors import StoreUnavailableError
from kazoo_media.metadata.cluster_store import ClusterStore
from kazoo_media.metadata.engine import Engine, Session
from kazoo_media.metadata.store import KeyStore, SettingStore
from kazoo_media.model import SettingRow, SigningKey

_BUMP_SETTINGS = "update settings_revision set revision = revision + 1"


class SqlSettings(KeyStore, SettingStore, ClusterStore):
    """Settings on the driver's engine."""

    @abstractmethod  # this is a part of a driver
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @override
    async def get_cluster_id(self) -> str:
        row = await self._engine.read_row("select id from cluster", ())
        if row is None:
            raise StoreUnavailableError
        return str(row[0])

    @override
    async def claim(self, name: str, holder: str, lease_ms: int) -> bool:
        now_ms = self._engine.now_ms
        sql = (
            f"insert into claim values (?, ?, {now_ms} + ?)"  # noqa: S608, no outside text
            " on conflict (name) do update set holder = excluded.holder, expires = excluded.expires"
            f" where claim.holder = excluded.holder or claim.expires <= {now_ms}"
        )
        return await self._engine.execute(sql, (name, holder, lease_ms)) > 0

    @override
    async def release_claim(self, name: str, holder: str) -> None:
        sql = "delete from claim where name = ? and holder = ?"
        await self._engine.execute(sql, (name, holder), frees_space=True)

    @override
    async def add_signing_key(self, key: SigningKey) -> None:
        await self._engine.execute(
            "insert into signing_key values (?, ?, ?) on conflict do nothing",
            (key.kid, key.public_pem, key.created_ms),
        )

    @override
    async def list_signing_keys(self) -> list[SigningKey]:
        rows = await self._engine.read_rows(
            "select kid, public_pem, created from signing_key order by created desc, kid", ()
        )
        return [SigningKey(*row) for row in rows]

    @override
    async def settings_revision(self) -> int:
        row = await self._engine.read_row("select revision from settings_revision", ())
        return 0 if row is None else int(row[0])

    @override
    async def bump_settings_revision(self) -> None:
        await self._engine.execute(_BUMP_SETTINGS, ())

    @override
    async def list_settings(self) -> list[SettingRow]:
        rows = await self._engine.read_rows(
            "select category, scope, key, value from setting order by category, scope, key", ()
        )
        return [SettingRow(row[0], row[1], row[2], orjson.loads(row[3])) for row in rows]

    @override
    async def put_setting(self, row: SettingRow) -> None:
        value = orjson.dumps(row.value).decode()
        await self._change_settings(
            "insert into setting values (?, ?, ?, ?)"
            " on conflict (category, scope, key) do update set value = excluded.value",
            (row.category, row.scope, row.key, value),
        )

    @override
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        await self._change_settings(
            "delete from setting where category = ? and scope = ? and key = ?",
            (category, scope, key),
        )

    async def _change_settings(self, sql: str, bindings: Sequence[str]) -> None:
        def change(db: Session) -> None:
            db.execute(sql, bindings)
            db.execute(_BUMP_SETTINGS)

        await self._engine.write(change)
