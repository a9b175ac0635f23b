"""Accounts and users in dictionaries: a part of the metadata store for tests."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from typing_extensions import override

from kazoo_media.errors import ConflictError, NameTakenError
from kazoo_media.metadata.link_secret_store import LinkSecretStore
from kazoo_media.metadata.store import AccountStore, PlaybackKeyStore
from kazoo_media.model import Account, PlaybackKey, User, account_key


class MemoryAccountStore(AccountStore, PlaybackKeyStore, LinkSecretStore):
    """Accounts in memory. No method awaits, so each is atomic on its loop."""

    @abstractmethod  # this is a part of a driver
    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._api_keys: dict[str, str] = {}
        self._playback_keys: dict[str, PlaybackKey] = {}
        self._link_secrets: dict[str, str] = {}
        self._users: dict[tuple[str, str], tuple[User, tuple[str, ...]]] = {}

    @override
    async def insert_account(self, account: Account, api_key_sha256: str) -> None:
        if account.id in self._accounts:
            raise ConflictError(account.id)
        if await self.find_named_account(account_key(account.name), ""):
            raise NameTakenError(field="name", value=account.name)
        if await self.find_named_account("", account.realm.lower()):
            raise NameTakenError(field="realm", value=account.realm)
        self._accounts[account.id] = account
        self._api_keys[account.id] = api_key_sha256

    @override
    async def get_account(self, account_id: str) -> Account | None:
        return self._accounts.get(account_id)

    @override
    async def find_account(self, api_key_sha256: str) -> Account | None:
        for account_id, digest in self._api_keys.items():
            if digest == api_key_sha256:
                return self._accounts[account_id]
        return None

    @override
    async def list_accounts(self, ancestor_id: str | None, start: str, limit: int) -> list[Account]:
        found = [
            each
            for each in self._accounts.values()
            if each.id >= start and (ancestor_id is None or ancestor_id in each.ancestor_ids)
        ]
        return sorted(found, key=lambda each: each.id)[:limit]

    @override
    async def replace_api_key(self, account_id: str, api_key_sha256: str) -> Account | None:
        account = self._accounts.get(account_id)
        if account is None:
            return None
        account = replace(account, key_generation=account.key_generation + 1)
        self._accounts[account_id] = account
        self._api_keys[account_id] = api_key_sha256
        return account

    @override
    async def find_named_account(self, name_key: str, realm: str) -> Account | None:
        for each in self._accounts.values():
            wanted, own = (name_key, account_key(each.name)) if name_key else (realm, each.realm)
            if wanted and wanted == own.lower():
                return each
        return None

    @override
    async def put_user(self, user: User, credential_digests: Sequence[str]) -> User:
        key = (user.account_id, user.name)
        known, _ = self._users.setdefault(key, (user, ()))
        self._users[key] = known, tuple(credential_digests)
        return known

    @override
    async def find_user(self, account_id: str, credential_digest: str) -> User | None:
        for user, digests in self._users.values():
            if user.account_id == account_id and credential_digest in digests:
                return user
        return None

    @override
    async def add_playback_key(self, key: PlaybackKey, sha256: str) -> None:
        self._playback_keys[sha256] = key

    @override
    async def find_playback_key(self, sha256: str) -> PlaybackKey | None:
        return self._playback_keys.get(sha256)

    @override
    async def list_playback_keys(self, account_id: str) -> list[PlaybackKey]:
        found = [each for each in self._playback_keys.values() if each.account_id == account_id]
        return sorted(found, key=lambda each: (each.created_ms, each.id))

    @override
    async def remove_playback_key(self, account_id: str, key_id: str) -> bool:
        for digest, each in self._playback_keys.items():
            if (each.account_id, each.id) == (account_id, key_id):
                del self._playback_keys[digest]
                return True
        return False

    @override
    async def get_link_secret(self, account_id: str) -> str | None:
        return self._link_secrets.get(account_id)

    @override
    async def add_link_secret(self, account_id: str, secret: str) -> str:
        return self._link_secrets.setdefault(account_id, secret)

    @override
    async def replace_link_secret(self, account_id: str, secret: str) -> None:
        if account_id in self._link_secrets:
            self._link_secrets[account_id] = secret
