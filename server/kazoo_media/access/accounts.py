"""Accounts: the tree of tenants, their API keys, authentication and permissions.

A permission is a value: every function of the core that acts on an account takes a `ReadScope` or
`WriteScope`, and every one that changes the service an `AdminScope`. Only this module creates
scopes, so no surface can skip the check.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kazoo_media.access.tokens import Tokens
from kazoo_media.errors import (
    AccountNotFoundError,
    ConflictError,
    ForbiddenError,
    InvalidCredentialsError,
    NameTakenError,
    ValidationError,
    Violation,
)
from kazoo_media.metadata.store import AccountStore
from kazoo_media.model import SYSTEM_ACCOUNT_ID, Account, Media, account_key, unix_time_ms

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")
_NAME_LIMIT = 128
_REALM_LIMIT = 253  # Source: Kazoo's schema of accounts; RFC 1035, 2.3.4


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, proven by a token, a client certificate or a key.

    Attributes:
        only_plays: Whether the caller may read audio and nothing else.
    """

    account: Account
    only_plays: bool = False


@dataclass(frozen=True, slots=True)
class PlayScope:
    """The permission to read the audio of an account.

    Attributes:
        has_recordings: Whether recordings of calls are among it.
    """

    account_id: str
    has_recordings: bool = True

    def check(self, media: Media) -> None:
        """Check that the permission has the audio of a media.

        Raises:
            ForbiddenError: it is a recording, and the caller only plays.
        """
        if media.is_recording and not self.has_recordings:
            raise ForbiddenError("a playback key does not read recordings: make a link, or log in")


@dataclass(frozen=True, slots=True)
class ReadScope(PlayScope):
    """The permission to read the media of an account."""


@dataclass(frozen=True, slots=True)
class WriteScope(ReadScope):
    """The permission to read and change the media of an account."""


@dataclass(frozen=True, slots=True)
class AdminScope:
    """The permission to change the service itself: settings and all accounts."""


@dataclass(frozen=True, slots=True)
class Login:
    """The result of a successful log-in.

    Attributes:
        expires_s: Unix time in seconds at which the token expires.
    """

    token: str
    account: Account
    expires_s: int


class Accounts:
    """The account tree and its permissions."""

    def __init__(self, store: AccountStore, tokens: Tokens) -> None:
        self._store = store
        self._tokens = tokens

    # Authentication.

    async def log_in(self, api_key: str) -> Login:
        """Return a token for an API key.

        Raises:
            InvalidCredentialsError: no account has this key.
        """
        account = await self._store.find_account(key_digest(api_key))
        if account is None:
            raise InvalidCredentialsError
        return self.issue(account)

    def issue(self, account: Account, owner_id: str = "") -> Login:
        """Return a token for an account after authentication.

        Args:
            owner_id: The user who logged in; "": the account itself.
        """
        token, expires_s = self._tokens.issue(account.id, account.key_generation, owner_id)
        return Login(token, account, expires_s)

    async def authenticate(self, token: str) -> Caller:
        """Return the caller that a token identifies.

        Raises:
            InvalidCredentialsError: the token is invalid, or the API key has been rotated since.
        """
        claims = await self._tokens.verify(token)
        account = await self._store.get_account(claims.account_id)
        if account is None or claims.key_generation not in (None, account.key_generation):
            raise InvalidCredentialsError
        return Caller(account)

    async def authenticate_client(
        self, names: Sequence[str], account_ids: Mapping[str, str]
    ) -> Caller:
        """Return the caller that a client certificate identifies.

        The first name of the certificate that has an account decides.

        Args:
            names: The names in the certificate.
            account_ids: Account ids by name: the setting accounts.client_names.

        Raises:
            InvalidCredentialsError: no name has an account, or the account does not exist.
        """
        listed = ", ".join(names)
        name = next((each for each in names if each in account_ids), None)
        if name is None:
            text = (
                f"the client certificate {listed} belongs to no account: add one of its names to "
                "the setting accounts.client_names"
            )
            raise InvalidCredentialsError(text, client_names=listed)
        account = await self._store.get_account(account_ids[name])
        if account is None:
            text = (
                f"the client certificate {name} belongs to account {account_ids[name]!r}, which "
                "does not exist: correct the setting accounts.client_names"
            )
            raise InvalidCredentialsError(text, client_names=listed)
        return Caller(account)

    # Permissions.

    async def play_scope(self, caller: Caller, account_id: str) -> PlayScope:
        """Return the permission to read an account's audio.

        A caller that only plays has it for its own account and the system scope, without
        recordings. It is on every switch, so it must not open the accounts below.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not read the account's audio.
        """
        if not caller.only_plays:
            return await self.read_scope(caller, account_id)
        if account_id.lower() not in (SYSTEM_ACCOUNT_ID, caller.account.id):
            raise ForbiddenError("a playback key reads its own account and the system scope")
        return PlayScope(account_id.lower(), has_recordings=False)

    async def read_scope(self, caller: Caller, account_id: str) -> ReadScope:
        """Return the permission to read an account's media; any caller may read the system scope.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the account is neither the caller's own nor a descendant, and the
                caller is not a superduper admin; or the caller only plays.
        """
        _check_more_than_plays(caller)
        if account_id == SYSTEM_ACCOUNT_ID:
            return ReadScope(account_id)
        return ReadScope((await self._reachable(caller, account_id)).id)

    async def write_scope(self, caller: Caller, account_id: str) -> WriteScope:
        """Return the permission to change an account's media.

        Only superduper admins may change the system scope.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the account is neither the caller's own nor a descendant, and the
                caller is not a superduper admin.
        """
        if account_id == SYSTEM_ACCOUNT_ID:
            self.admin_scope(caller)
            return WriteScope(account_id)
        return WriteScope((await self._reachable(caller, account_id)).id)

    def admin_scope(self, caller: Caller) -> AdminScope:
        """Return the permission to change the service.

        Raises:
            ForbiddenError: the caller is not a superduper admin, or only plays.
        """
        _check_more_than_plays(caller)
        if not caller.account.superduper_admin:
            raise ForbiddenError
        return AdminScope()

    # The tree.

    async def get(self, caller: Caller, account_id: str) -> Account:
        """Return an account.

        Args:
            account_id: "": the caller's own.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        return await self._reachable(caller, account_id or caller.account.id)

    async def list_descendants(
        self, caller: Caller, ancestor_id: str, start: str, limit: int
    ) -> list[Account]:
        """Return at most `limit` accounts below an ancestor, in the order of their ids.

        Args:
            ancestor_id: "": the caller's own; for a superduper admin all accounts are listed.
            start: The lowest id to return.

        Raises:
            AccountNotFoundError: no account has the id of the ancestor.
            ForbiddenError: the caller may not act on the ancestor.
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
        """Add an account and return it with its API key, which is not stored.

        Args:
            parent_id: "": the caller's own account.
            account_id: "": a random id. Only superduper admins choose one: tokens of another
                cluster are valid for the account with the same id.

        Raises:
            ValidationError: the name, realm or id is invalid.
            ConflictError: the id already exists.
            NameTakenError: another account has the name or the realm.
            AccountNotFoundError: the parent does not exist.
            ForbiddenError: the caller may not act on the parent, or is not a superduper admin and
                wants to create one or chooses the id.
        """
        if superduper_admin:
            self.admin_scope(caller)
        if account_id and not caller.account.superduper_admin:
            raise ForbiddenError("only superduper admins choose the id of an account: leave it out")
        parent = await self._reachable(caller, parent_id or caller.account.id)
        _check(name, realm, account_id)
        account = Account(
            id=account_id or secrets.token_hex(16),
            name=name,
            ancestor_ids=(*parent.ancestor_ids, parent.id),
            created_ms=unix_time_ms(),
            realm=realm,
            superduper_admin=superduper_admin,
        )
        return account, await self._insert(account)

    async def create_master(self, name: str, account_id: str) -> tuple[Account, str] | None:
        """Add the root account, a superduper admin, and return it with its API key.

        An account with this id, which a crash left without a known key, gets a new key instead.
        None: another node has made the root account.

        Args:
            account_id: 32 lower-case hex digits that the caller chose at random, and keeps.
        """
        account = Account(
            id=account_id,
            name=name,
            ancestor_ids=(),
            created_ms=unix_time_ms(),
            superduper_admin=True,
        )
        try:
            return account, await self._insert(account)
        except (ConflictError, NameTakenError):
            left = await self._store.get_account(account_id)
            return None if left is None else (left, await self._replace_key(left))

    async def rotate_api_key(self, caller: Caller, account_id: str) -> str:
        """Replace the API key of an account and return the new key. All its tokens end at once.

        Args:
            account_id: "": the caller's own account.

        Raises:
            AccountNotFoundError: no account has this id.
            ForbiddenError: the caller may not act on the account.
        """
        return await self._replace_key(
            await self._reachable(caller, account_id or caller.account.id)
        )

    async def _replace_key(self, account: Account) -> str:
        api_key = secrets.token_hex(32)
        await self._store.replace_api_key(account.id, key_digest(api_key))
        return api_key

    async def _insert(self, account: Account) -> str:
        api_key = secrets.token_hex(32)
        await self._store.insert_account(account, key_digest(api_key))
        return api_key

    async def _reachable(self, caller: Caller, account_id: str) -> Account:
        """Return the account if the caller may act on it; the case of the id does not matter."""
        _check_more_than_plays(caller)
        lowered = account_id.lower()
        if lowered == caller.account.id:
            return caller.account
        account = await self._store.get_account(lowered) if _ACCOUNT_ID.fullmatch(lowered) else None
        if account is None:
            raise AccountNotFoundError(account_id)
        if not caller.account.superduper_admin and caller.account.id not in account.ancestor_ids:
            raise ForbiddenError
        return account


def _check_more_than_plays(caller: Caller) -> None:
    if caller.only_plays:
        raise ForbiddenError("a playback key reads audio and nothing else")


def key_digest(key: str) -> str:
    """Return the stored form of a key. 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def _check(name: str, realm: str, account_id: str) -> None:
    violations = []
    if not 0 < len(name) <= _NAME_LIMIT:
        text = f"String must have 1 to {_NAME_LIMIT} characters"
        violations.append(Violation("name", "invalid", text, {"value": name}))
    elif not account_key(name):
        text = "must have a letter or a digit: only these are compared"
        violations.append(Violation("name", "invalid", text, {"value": name}))
    if len(realm) > _REALM_LIMIT:
        text = f"String must not have more than {_REALM_LIMIT} characters"
        violations.append(Violation("realm", "invalid", text, {"value": realm}))
    if account_id and not _ACCOUNT_ID.fullmatch(account_id):
        text = "must be 32 lower-case hex digits"
        violations.append(Violation("account_id", "invalid", text, {"value": account_id}))
    if violations:
        raise ValidationError(violations)
