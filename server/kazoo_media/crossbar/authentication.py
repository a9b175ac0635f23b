"""Authentication: tokens, `api_auth` and `user_auth`.

Source: Kazoo cb_api_auth.erl, cb_user_auth.erl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_media.access.accounts import Accounts, Caller, Login
from kazoo_media.access.log_ins import LogIns
from kazoo_media.access.users import METHODS
from kazoo_media.core import Core
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.requests import Request
from kazoo_media.documents.violations import not_listed, required, too_long, too_short, wrong_type
from kazoo_media.errors import InvalidCredentialsError, ValidationError
from kazoo_media.model import Account
from kazoo_media.transport.context import Call

_API_KEY_CHARACTERS = 64


async def authenticate(accounts: Accounts, request: Request) -> Caller:
    """Return the caller that a request's token identifies.

    Raises:
        InvalidCredentialsError: the token is missing or invalid, or the header
            `X-Auth-Account-ID` names another account.
    """
    token = request.token
    if not token:
        raise InvalidCredentialsError
    caller = await accounts.authenticate(token)
    claimed = request.headers.get("x-auth-account-id")
    if claimed and claimed.lower() != caller.account.id:
        raise InvalidCredentialsError
    return caller


async def authenticate_with_key(accounts: Accounts, log_ins: LogIns, request: Request) -> Caller:
    """Return the caller that a request's token identifies, or without one its key.

    Switches and recorders cannot log in. A key, of the API or for playback, comes as the password
    of HTTP Basic, whose user is the account's id; a playback key also comes as the query parameter
    `key`.

    Raises:
        InvalidCredentialsError: as `authenticate`, or the key is not one of the account.
        TooManyRequestsError: too many keys were wrong.
    """
    if not request.token:
        account_id, key = request.basic
        if account_id and key:
            return await log_ins.by_key(request.peer, key, account_id)
        if key := request.query_value("key"):
            return await log_ins.by_key(request.peer, key)
    return await authenticate(accounts, request)


class LogInAnswers:
    """Answers log-in requests."""

    def __init__(self, core: Core, envelopes: Envelopes) -> None:
        self._log_ins = core.log_ins
        self._envelopes = envelopes

    async def with_key(self, request: Request) -> Answer:
        """Return the answer with a new token for the API key in the body.

        Raises:
            ValidationError: the key is missing or has the wrong length.
            InvalidCredentialsError: no account has this key.
            TooManyRequestsError: too many log-ins have failed.
        """
        key = _checked_key(request.data.get("api_key"))
        login = await self._log_ins.with_key(request.peer, key)
        return await self._answer(request, login, {})

    async def as_user(self, request: Request) -> Answer:
        """Return the answer with a new token for a user's credentials.

        Raises:
            ValidationError: the credentials are missing, or a field has the wrong type.
            InvalidCredentialsError: there is no such account, or no such user in it.
            TooManyRequestsError: too many log-ins have failed.
        """
        data = request.data
        _check_user(data)
        name, realm = data.get("account_name") or "", data.get("account_realm") or ""
        realm = realm or data.get("realm") or ""
        found = await self._log_ins.as_user(request.peer, data["credentials"], name, realm)
        return await self._answer(request, found.login, {"owner_id": found.user.id})

    async def _answer(self, request: Request, login: Login, more: Mapping[str, Any]) -> Answer:
        Call.note_account(login.account.id)
        data = await self._envelopes.success(
            request,
            {**_account_fields(login.account), **more},
            revision="automatic",
            auth_token=login.token,
        )
        return Answer.whole(201, data)


def _account_fields(account: Account) -> dict[str, Any]:
    """Return the fields that Kazoo's clients read."""
    return {
        "account_id": account.id,
        "account_name": account.name,
        "apps": [],
        "is_master_account": not account.ancestor_ids,
        "is_reseller": not account.ancestor_ids,
        "language": account.language,
        "reseller_id": account.ancestor_ids[0] if account.ancestor_ids else account.id,
    }


def _checked_key(key: object) -> str:
    size = _API_KEY_CHARACTERS
    if isinstance(key, str) and len(key) == size:
        return key
    if key is None:
        raise ValidationError([required("api_key")])
    if not isinstance(key, str):
        raise ValidationError([wrong_type("api_key", "string", key)])
    if len(key) < size:
        raise ValidationError([too_short("api_key", size, key)])
    raise ValidationError([too_long("api_key", size, key)])


def _check_user(data: Mapping[str, Any]) -> None:
    fields = ("credentials", "method", "account_name", "account_realm", "realm")
    violations = [
        wrong_type(field, "string", data[field])
        for field in fields
        if data.get(field) is not None and not isinstance(data[field], str)
    ]
    if data.get("credentials") is None:
        violations.append(required("credentials"))
    method = data.get("method")
    if isinstance(method, str) and method not in METHODS:
        violations.append(not_listed("method", METHODS, method))
    if violations:
        raise ValidationError(violations)
