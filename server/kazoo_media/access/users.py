"""Users: people who log in to an account with a name and a password.

A client sends the MD5 or SHA-1 of `name:password` (Kazoo's `credentials`), never the password. Such
a digest is as good as the password itself, and quick to guess: what is stored is a slow hash of
each. Source: Kazoo cb_user_auth.erl.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from dataclasses import dataclass

from kazoo_media.access.accounts import Accounts, Caller, Login
from kazoo_media.errors import InvalidCredentialsError, ValidationError, Violation
from kazoo_media.metadata.store import AccountStore
from kazoo_media.model import User, account_key

METHODS = ("md5", "sha")
_NAME_LIMIT = 128
_LEAST_PASSWORD_CHARACTERS = 6
# 16 MiB and a twentieth of a second for each guess. Source: RFC 7914, 2.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1


@dataclass(frozen=True, slots=True)
class UserLogin:
    """The answer to good credentials."""

    login: Login
    user: User


class Users:
    """The users of all accounts."""

    def __init__(self, store: AccountStore, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts
        self._hashing = asyncio.Semaphore(2)

    async def put(self, caller: Caller, account_id: str, name: str, password: str) -> User:
        """Add a user to an account ("": the caller's own), or give the one of that name another
        password.

        Raises:
            ValidationError: a name with a colon, empty or too long; a password that is too short.
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is out of the caller's reach.
        """
        account = await self._accounts.get(caller, account_id)
        _check(name, password)
        digests = []
        for algorithm in ("md5", "sha1"):
            credentials = hashlib.new(algorithm, f"{name}:{password}".encode()).hexdigest()
            digests.append(await self._digest(account.id, credentials))
        user = User(account.id, secrets.token_hex(16), name, int(time.time() * 1000))
        return await self._store.put_user(user, digests)

    async def log_in(
        self, credentials: str, account_name: str = "", account_realm: str = ""
    ) -> UserLogin:
        """Return a token for a user's credentials in the account that name or realm say.

        Args:
            credentials: Hex digest of `name:password`, MD5 or SHA-1, in any case.
            account_name: Compared by letters and digits only.
            account_realm: Used when there is no name.

        Raises:
            InvalidCredentialsError: no such account, or no such user in it.
        """
        found = await self._store.find_accounts(account_key(account_name), account_realm.lower())
        for account in found:
            digest = await self._digest(account.id, credentials.lower())
            user = await self._store.find_user(account.id, digest)
            if user is not None:
                return UserLogin(self._accounts.issue(account, user.id), user)
        raise InvalidCredentialsError

    async def _digest(self, account_id: str, credentials: str) -> str:
        """Return the slow hash; its salt is the account's id, which is random and no one else's."""
        async with self._hashing:
            digest = await asyncio.to_thread(
                hashlib.scrypt,
                credentials.encode(),
                salt=account_id.encode(),
                n=_SCRYPT_N,
                r=_SCRYPT_R,
                p=_SCRYPT_P,
            )
        return digest.hex()


def _check(name: str, password: str) -> None:
    violations = []
    if not 0 < len(name) <= _NAME_LIMIT or ":" in name:
        text = f"must have 1 to {_NAME_LIMIT} characters and no colon"
        violations.append(Violation("name", "invalid", text, {"value": name}))
    if len(password) < _LEAST_PASSWORD_CHARACTERS:
        text = f"must have at least {_LEAST_PASSWORD_CHARACTERS} characters"
        violations.append(Violation("password", "invalid", text, {}))
    if violations:
        raise ValidationError(violations)
