"""Accounts: the tree of tenants, API keys, who is calling and what they may do.

Permission is a value: every function of the core that acts on an account takes a `ReadScope` or
`WriteScope`, every one that changes the service takes an `AdminScope`. Only this module makes them,
so no surface can forget to ask.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kazoo_media.access.tokens import Tokens
from kazoo_media.errors import (
    AccountNotFoundError,
    ForbiddenError,
    InvalidCredentialsError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.store import AccountStore
from kazoo_media.model import SYSTEM_ACCOUNT_ID, Account

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_NAME_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, proven by a token or a client certificate."""

    account: Account


@dataclass(frozen=True, slots=True)
class ReadScope:
    """The permission to read the media of an account."""

    account_id: str


@dataclass(frozen=True, slots=True)
class WriteScope(ReadScope):
    """The permission to read and change the media of an account."""


@dataclass(frozen=True, slots=True)
class AdminScope:
    """The permission to change the service itself: settings, accounts anywhere."""


@dataclass(frozen=True, slots=True)
class Login:
    """The answer to a good API key.

    Attributes:
        expires_s: Unix time in seconds at which the token ends.
    """

    token: str
    account: Account
    expires_s: int


class Accounts:
    """The account tree and its permissions."""

    def __init__(self, store: AccountStore, tokens: Tokens) -> None:
        self._store = store
        self._tokens = tokens

    # Who is calling.

    async def log_in(self, api_key: str) -> Login:
        """Return a token for an API key.

        Raises:
            InvalidCredentialsError: no account has this key.
        """
        account = await self._store.find_account(_digest(api_key))
        if account is None:
            raise InvalidCredentialsError
        return self.issue(account)

    def issue(self, account: Account, owner_id: str = "") -> Login:
        """Return a token for an account whose caller has proven who it is; "": no user of it."""
        token, expires_s = self._tokens.issue(account.id, account.key_generation, owner_id)
        return Login(token, account, expires_s)

    async def authenticate(self, token: str) -> Caller:
        """Return who a token speaks for.

        Raises:
            InvalidCredentialsError: a bad token, or one from before the last rotation of the key.
        """
        claims = await self._tokens.verify(token)
        account = await self._store.get_account(claims.account_id)
        if account is None or claims.key_generation not in (None, account.key_generation):
            raise InvalidCredentialsError
        return Caller(account)

    async def authenticate_client(
        self, names: Sequence[str], account_ids: Mapping[str, str]
    ) -> Caller:
        """Return who a client certificate speaks for: the first of its names that has an account.

        Args:
            names: Those in the certificate.
            account_ids: By name, as the setting accounts.client_names has them.

        Raises:
            InvalidCredentialsError: no name has an account, or there is no such account.
        """
        shown = ", ".join(names)
        name = next((each for each in names if each in account_ids), None)
        if name is None:
            text = f"{shown}: no account has this client certificate, see accounts.client_names"
            raise InvalidCredentialsError(text, client_names=shown)
        account = await self._store.get_account(account_ids[name])
        if account is None:
            text = f"{name}: accounts.client_names has no account that exists: {account_ids[name]}"
            raise InvalidCredentialsError(text, client_names=shown)
        return Caller(account)

    # What they may do.

    async def read_scope(self, caller: Caller, account_id: str) -> ReadScope:
        """Return the permission to read an account's media; any caller may read the system scope.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is neither the caller's own nor a descendant, and the caller is no
                admin.
        """
        if account_id == SYSTEM_ACCOUNT_ID:
            return ReadScope(account_id)
        return ReadScope((await self._reachable(caller, account_id)).id)

    async def write_scope(self, caller: Caller, account_id: str) -> WriteScope:
        """Return the permission to change an account's media; only admins change the system scope.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is neither the caller's own nor a descendant, and the caller is no
                admin.
        """
        if account_id == SYSTEM_ACCOUNT_ID:
            self.admin_scope(caller)
            return WriteScope(account_id)
        return WriteScope((await self._reachable(caller, account_id)).id)

    def admin_scope(self, caller: Caller) -> AdminScope:
        """Return the permission to change the service.

        Raises:
            ForbiddenError: the caller is no superduper admin.
        """
        if not caller.account.superduper_admin:
            raise ForbiddenError
        return AdminScope()

    # The tree.

    async def get(self, caller: Caller, account_id: str) -> Account:
        """Return an account that the caller may act on; "" is its own.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is out of the caller's reach.
        """
        return await self._reachable(caller, account_id or caller.account.id)

    async def list_descendants(
        self, caller: Caller, ancestor_id: str, start: str, limit: int
    ) -> list[Account]:
        """Return accounts below an ancestor with id >= `start`; "": the caller's own, for an admin
        all there are.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is out of the caller's reach.
        """
        if not ancestor_id and caller.account.superduper_admin:
            return await self._store.list_accounts(None, start, limit)
        ancestor = await self._reachable(caller, ancestor_id or caller.account.id)
        return await self._store.list_accounts(ancestor.id, start, limit)

    async def create(
        self,
        caller: Caller,
        *,
        parent_id: str,
        name: str,
        realm: str = "",
        account_id: str = "",
        superduper_admin: bool = False,
    ) -> tuple[Account, str]:
        """Add an account below a parent ("": the caller's own); return it and its API key, of which
        no copy is kept.

        Raises:
            ValidationError: a bad name or id.
            ConflictError: the id is taken.
            AccountNotFoundError: there is no such parent.
            ForbiddenError: the parent is out of reach, or only an admin may make an admin.
        """
        if superduper_admin:
            self.admin_scope(caller)
        parent = await self._reachable(caller, parent_id or caller.account.id)
        _check(name, account_id)
        account = Account(
            id=account_id or secrets.token_hex(16),
            name=name,
            ancestor_ids=(*parent.ancestor_ids, parent.id),
            created_ms=int(time.time() * 1000),
            realm=realm,
            superduper_admin=superduper_admin,
        )
        return account, await self._insert(account)

    async def create_master(self, name: str) -> tuple[Account, str]:
        """Add the root account, a superduper admin; return it and its API key. For the first
        start.
        """
        account = Account(
            id=secrets.token_hex(16),
            name=name,
            ancestor_ids=(),
            created_ms=int(time.time() * 1000),
            superduper_admin=True,
        )
        return account, await self._insert(account)

    async def rotate_api_key(self, caller: Caller, account_id: str) -> str:
        """Replace the API key of an account ("": the caller's own) and return it. Its tokens end at
        once.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: it is out of the caller's reach.
        """
        account = await self._reachable(caller, account_id or caller.account.id)
        api_key = secrets.token_hex(32)
        await self._store.replace_api_key(account.id, _digest(api_key))
        return api_key

    async def _insert(self, account: Account) -> str:
        api_key = secrets.token_hex(32)
        await self._store.insert_account(account, _digest(api_key))
        return api_key

    async def _reachable(self, caller: Caller, account_id: str) -> Account:
        """Return the account if the caller may act on it; ids in upper case name the same
        account.
        """
        wanted = account_id.lower()
        if wanted == caller.account.id:
            return caller.account
        account = await self._store.get_account(wanted) if _ACCOUNT_ID.fullmatch(wanted) else None
        if account is None:
            raise AccountNotFoundError(account_id)
        if not caller.account.superduper_admin and caller.account.id not in account.ancestor_ids:
            raise ForbiddenError
        return account


def _digest(api_key: str) -> str:
    """Return what is stored of an API key: 256 random bits need no slow hash."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def _check(name: str, account_id: str) -> None:
    violations = []
    if not 0 < len(name) <= _NAME_LIMIT:
        text = f"String must have 1 to {_NAME_LIMIT} characters"
        violations.append(Violation("name", "invalid", text, {"value": name}))
    if account_id and not _ACCOUNT_ID.fullmatch(account_id):
        text = "must be 32 lower-case hex digits"
        violations.append(Violation("account_id", "invalid", text, {"value": account_id}))
    if violations:
        raise ValidationError(violations)
