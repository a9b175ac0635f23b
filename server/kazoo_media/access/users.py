"""Users: people who log in to an account with a name and a password.

A client sends the MD5 or SHA-1 of `name:password` (Kazoo's `credentials`), never the password. Such
a digest is as good as the password and quick to guess, so only slow hashes of the digests are
stored. Source: Kazoo cb_user_auth.erl.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

from kazoo_media.access.accounts import Accounts, Caller, Login
from kazoo_media.errors import InvalidCredentialsError, ValidationError, Violation
from kazoo_media.metadata.store import AccountStore
from kazoo_media.model import User, account_key, unix_time_ms

METHODS = ("md5", "sha")
_NAME_LIMIT = 128
_MIN_PASSWORD_CHARACTERS = 6
# Each guess costs 16 MiB and a twentieth of a second. Source: RFC 7914, 2.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1


@dataclass(frozen=True, slots=True)
class UserLogin:
    """The result of a successful log-in with credentials."""

    login: Login
    user: User


class Users:
    """The users of all accounts."""

    def __init__(self, store: AccountStore, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts
        # Apart from log-ins, so that nobody delays those by changing passwords.
        self._changing = asyncio.Semaphore(1)

    async def put(self, caller: Caller, account_id: str, name: str, password: str) -> User:
        """Add a user to an account, or change the password of the user of that name.

        Args:
            account_id: "": the caller's own account.

        Raises:
            ValidationError: the name has a colon, is empty or too long, or the password is too
                short.
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        account = await self._accounts.get(caller, account_id)
        _check(name, password)
        digests = []
        for algorithm in ("md5", "sha1"):
            credentials = hashlib.new(algorithm, f"{name}:{password}".encode()).hexdigest()
            async with self._changing:
                digests.append(await _digest(account.id, credentials))
        user = User(account.id, secrets.token_hex(16), name, unix_time_ms())
        return await self._store.put_user(user, digests)

    async def log_in(
        self, credentials: str, account_name: str = "", account_realm: str = ""
    ) -> UserLogin:
        """Return a token for the credentials of a user.

        Every call costs one slow hash, so its time does not tell whether an account exists.

        Args:
            credentials: Hex digest of `name:password`, MD5 or SHA-1, in upper or lower case.
            account_name: Name of the account; only its letters and digits are compared.
            account_realm: Realm of the account, used if there is no name.

        Raises:
            InvalidCredentialsError: there is no such account, or no such user in it.
        """
        account = await self._store.find_named_account(
            account_key(account_name), account_realm.lower()
        )
        account_id = account.id if account else ""
        digest = await _digest(account_id, credentials.lower())
        user = await self._store.find_user(account_id, digest)
        if account is None or user is None:
            raise InvalidCredentialsError
        return UserLogin(self._accounts.issue(account, user.id), user)


async def _digest(account_id: str, credentials: str) -> str:
    """Return the slow hash. The salt is the account's id, which is random and unique.

    A cancelled caller stays until the hash is made: hashes that nobody waits for would get around
    the caller's bound on hashes at the same time.
    """
    hashing = asyncio.ensure_future(
        asyncio.to_thread(
            hashlib.scrypt,
            credentials.encode(),
            salt=account_id.encode(),
            n=_SCRYPT_N,
            r=_SCRYPT_R,
            p=_SCRYPT_P,
        )
    )
    try:
        return (await asyncio.shield(hashing)).hex()
    except asyncio.CancelledError:
        await asyncio.wait([hashing])
        raise


def _check(name: str, password: str) -> None:
    violations = []
    if not 0 < len(name) <= _NAME_LIMIT or ":" in name:
        text = f"must have 1 to {_NAME_LIMIT} characters and no colon"
        violations.append(Violation("name", "invalid", text, {"value": name}))
    if len(password) < _MIN_PASSWORD_CHARACTERS:
        text = f"must have at least {_MIN_PASSWORD_CHARACTERS} characters"
        violations.append(Violation("password", "invalid", text, {}))
    if violations:
        raise ValidationError(violations)
