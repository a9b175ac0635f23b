"""Settings, keys and the cluster's id in dictionaries: a part of the metadata store for tests."""

from __future__ import annotations

import copy
import secrets
import time
from abc import abstractmethod

from typing_extensions import override

from kazoo_media.metadata.cluster_store import ClusterStore
from kazoo_media.metadata.store import KeyStore, SettingStore
from kazoo_media.model import SettingRow, SigningKey


class MemorySettingStore(KeyStore, SettingStore, ClusterStore):
    """Settings in memory. No method awaits, so each is atomic on its loop."""

    @abstractmethod  # this is a part of a driver
    def __init__(self) -> None:
        self._signing_keys: dict[str, SigningKey] = {}
        self._settings: dict[tuple[str, str, str], SettingRow] = {}
        self._settings_revision = 0
        self._cluster_id = secrets.token_hex(16)
        self._claims: dict[str, tuple[str, float]] = {}

    @override
    async def get_cluster_id(self) -> str:
        return self._cluster_id

    @override
    async def claim(self, name: str, holder: str, lease_ms: int) -> bool:
        now_s = time.monotonic()
        other, expires_s = self._claims.get(name, (holder, now_s))
        if other != holder and expires_s > now_s:
            return False
        self._claims[name] = holder, now_s + lease_ms / 1000
        return True

    @override
    async def release_claim(self, name: str, holder: str) -> None:
        if self._claims.get(name, ("", 0.0))[0] == holder:
            del self._claims[name]

    @override
    async def add_signing_key(self, key: SigningKey) -> None:
        self._signing_keys.setdefault(key.kid, key)

    @override
    async def list_signing_keys(self) -> list[SigningKey]:
        return sorted(self._signing_keys.values(), key=lambda each: (-each.created_ms, each.kid))

    @override
    async def settings_revision(self) -> int:
        return self._settings_revision

    @override
    async def bump_settings_revision(self) -> None:
        self._settings_revision += 1

    @override
    async def list_settings(self) -> list[SettingRow]:
        return copy.deepcopy([row for _, row in sorted(self._settings.items())])

    @override
    async def put_setting(self, row: SettingRow) -> None:
        self._settings[row.category, row.scope, row.key] = copy.deepcopy(row)
        self._settings_revision += 1

    @override
    async def remove_setting(self, category: str, scope: str, key: str) -> None:
        self._settings.pop((category, scope, key), None)
        self._settings_revision += 1
