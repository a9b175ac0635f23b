"""Who is calling: tokens, and `api_auth`."""

from __future__ import annotations

from typing import Any

from kazoo_media.accounts import Accounts, Caller
from kazoo_media.crossbar.answers import Answer
from kazoo_media.crossbar.envelopes import Envelopes
from kazoo_media.crossbar.requests import Request
from kazoo_media.errors import InvalidCredentialsError, ValidationError, Violation
from kazoo_media.model import Account

_API_KEY_CHARACTERS = 64


async def authenticate(accounts: Accounts, request: Request) -> Caller:
    """Return who a request's token speaks for.

    Raises:
        InvalidCredentialsError: no token, a bad one, or `X-Auth-Account-ID` names another account.
    """
    token = request.token
    if not token:
        raise InvalidCredentialsError
    caller = await accounts.authenticate(token)
    claimed = request.headers.get("x-auth-account-id")
    if claimed and claimed.lower() != caller.account.id:
        raise InvalidCredentialsError
    return caller


async def log_in(accounts: Accounts, envelopes: Envelopes, request: Request) -> Answer:
    """Return the answer with a new token for the API key in the body.

    Raises:
        ValidationError: no key, or one of a wrong length.
        InvalidCredentialsError: no account has this key.
    """
    login = await accounts.log_in(_checked_key(request.data.get("api_key")))
    data = envelopes.success(
        request, _described(login.account), revision="automatic", auth_token=login.token
    )
    return Answer.whole(201, data)


def _described(account: Account) -> dict[str, Any]:
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
    wanted = _API_KEY_CHARACTERS
    if isinstance(key, str) and len(key) == wanted:
        return key
    extra: dict[str, object] = {"value": key}
    if key is None:
        code, text, extra = "required", "Field is required but missing", {"value": "api_key"}
    elif not isinstance(key, str):
        code, text = "type", "Value did not match type(s): string"
        extra["target"] = "string"
    else:
        extra |= {"target": wanted, "cause": key}
        if len(key) < wanted:
            code, text = "minLength", f"String must be at least {wanted} characters"
        else:
            code, text = "maxLength", f"String must not be more than {wanted} characters"
    raise ValidationError([Violation("api_key", code, text, extra)])
