"""Playback keys: what a switch has, to read the audio of an account and nothing else."""

from __future__ import annotations

import secrets

from kazoo_media.access.accounts import Accounts, Caller, key_digest
from kazoo_media.errors import (
    InvalidCredentialsError,
    PlaybackKeyNotFoundError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.store import AccountStore, PlaybackKeyStore
from kazoo_media.model import PlaybackKey, unix_time_ms

_NAME_LIMIT = 128


class PlaybackKeys:
    """Makes, lists and removes playback keys, and knows whose a key is."""

    def __init__(self, keys: PlaybackKeyStore, store: AccountStore, accounts: Accounts) -> None:
        self._keys = keys
        self._store = store
        self._accounts = accounts

    async def authenticate(self, key: str, account_id: str = "") -> Caller:
        """Return the caller that a playback key identifies, or an API key with its account's id.

        Args:
            account_id: The account that the key must belong to; "": any, for a playback key.

        Raises:
            InvalidCredentialsError: there is no such key, or it belongs to another account.
        """
        digest = key_digest(key)
        account = await self._store.find_account(digest) if account_id else None
        only_plays = account is None
        if account is None:
            found = await self._keys.find_playback_key(digest)
            account = await self._store.get_account(found.account_id) if found else None
        if account is None or account_id.lower() not in {"", account.id}:
            raise InvalidCredentialsError
        return Caller(account, only_plays=only_plays)

    async def add(self, caller: Caller, account_id: str, name: str) -> tuple[PlaybackKey, str]:
        """Add a key to an account; return it and its text, which is not stored.

        Args:
            account_id: "": the caller's own account.
            name: For people; at most 128 characters.

        Raises:
            ValidationError: the name is too long.
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        account = await self._accounts.get(caller, account_id)
        if len(name) > _NAME_LIMIT:
            text = f"String must not have more than {_NAME_LIMIT} characters"
            raise ValidationError([Violation("name", "invalid", text, {"value": name})])
        key = PlaybackKey(account.id, secrets.token_hex(16), name, unix_time_ms())
        text = secrets.token_hex(32)
        await self._keys.add_playback_key(key, key_digest(text))
        return key, text

    async def list(self, caller: Caller, account_id: str) -> list[PlaybackKey]:
        """Return the keys of an account, the oldest first.

        Args:
            account_id: "": the caller's own account.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        account = await self._accounts.get(caller, account_id)
        return await self._keys.list_playback_keys(account.id)

    async def remove(self, caller: Caller, account_id: str, key_id: str) -> None:
        """Remove a key of an account: from now on it reads nothing.

        Args:
            account_id: "": the caller's own account.

        Raises:
            PlaybackKeyNotFoundError: the account has no such key.
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        account = await self._accounts.get(caller, account_id)
        if not await self._keys.remove_playback_key(account.id, key_id):
            raise PlaybackKeyNotFoundError(key_id)
