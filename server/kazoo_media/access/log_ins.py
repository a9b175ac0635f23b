"""Log-ins, with an API key or as a user. Too many failed ones are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from kazoo_media.access.accounts import Accounts, Caller, Login
from kazoo_media.access.login_limit import LoginLimit
from kazoo_media.access.playback_keys import PlaybackKeys
from kazoo_media.access.users import UserLogin, Users
from kazoo_media.errors import MediaError
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.model import account_key

_CONCURRENT_HASHES = 2
_KEY_PREFIX_CHARACTERS = 8
_ACCOUNT_CHARACTERS = 253
"""Characters of a name or realm that the limit distinguishes; real ones are not longer."""


class LogIns:
    """What clients may try without a token."""

    def __init__(
        self,
        accounts: Accounts,
        users: Users,
        playback_keys: PlaybackKeys,
        limit: LoginLimit,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._accounts = accounts
        self._users = users
        self._playback_keys = playback_keys
        self._limit = limit
        self._metrics = metrics
        self._turns = asyncio.Semaphore(_CONCURRENT_HASHES)

    async def with_key(self, peer: str, api_key: str) -> Login:
        """Return a token for an API key.

        Args:
            peer: The client's address.

        Raises:
            InvalidCredentialsError: no account has this key.
            TooManyRequestsError: too many keys with the same beginning, or too many from this
                address, were wrong.
        """
        with self._counted("key"), self._limit.attempt(peer, _subject(api_key)):
            return await self._accounts.log_in(api_key)

    async def by_key(self, peer: str, key: str, account_id: str = "") -> Caller:
        """Return the caller that a key identifies; see `PlaybackKeys.authenticate`.

        Args:
            peer: The client's address.

        Raises:
            InvalidCredentialsError: there is no such key, or it belongs to another account.
            TooManyRequestsError: as `with_key`.
        """
        with self._counted("playback"), self._limit.attempt(peer, _subject(key)):
            return await self._playback_keys.authenticate(key, account_id)

    async def as_user(
        self, peer: str, credentials: str, account_name: str = "", account_realm: str = ""
    ) -> UserLogin:
        """Return a token for the credentials of a user; see `Users.log_in`.

        Args:
            peer: The client's address.

        Raises:
            InvalidCredentialsError: there is no such account, or no such user in it.
            TooManyRequestsError: too many log-ins to this account, or too many from this address,
                have failed.
        """
        account = account_key(account_name) or account_realm.lower()
        subject = f"account {account[:_ACCOUNT_CHARACTERS]}"
        with self._counted("user"):
            self._limit.check(peer, subject)
            async with self._metrics.turn("log_in", self._turns):
                with self._limit.attempt(peer, subject):  # others may have failed meanwhile
                    return await self._users.log_in(credentials, account_name, account_realm)

    @contextmanager
    def _counted(self, way: str) -> Iterator[None]:
        try:
            yield
        except MediaError as error:
            self._metrics.log_in_refused(way, error.reason)
            raise


def _subject(key: str) -> str:
    return f"key {key[:_KEY_PREFIX_CHARACTERS]}"
