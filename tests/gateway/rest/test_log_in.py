"""kazoo-v2, section 9: `user_auth`, and how guessing is slowed down."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kazoo_media.access.login_limit import ADDRESS_BURST, BURST
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import Case, ask, has, table

pytestmark = pytest.mark.gateway

_USER, _PASSWORD = "ann@example.com", "s3cret-pass"
_REALM = "ann.example.com"
_MD5 = hashlib.md5(f"{_USER}:{_PASSWORD}".encode()).hexdigest()
_SHA = hashlib.sha1(f"{_USER}:{_PASSWORD}".encode()).hexdigest()
_WRONG = {"message": "invalid credentials"}


@pytest.fixture(scope="module")
def office(rest: Rest) -> Tenant:
    """Return the account `Ann's Office` with one user; `Bob's Office` has none."""
    tenant = rest.new_tenant(name="Ann's Office", realm=_REALM)
    rest.new_tenant(name="Bob's Office")
    rest.run(rest.core.users.put(rest.admin_caller, tenant.id, _USER, _PASSWORD))
    return tenant


def _log_in(**data: object) -> dict[str, object]:
    return {"data": data}


@table(
    [
        Case(request, 201, _log_in(**data), token=False)
        for request, data in (
            ("PUT /v2/user_auth", {"credentials": _MD5, "account_name": "Ann's Office"}),
            ("PUT /v2/user_auth", {"credentials": _MD5.upper(), "account_name": "annsoffice"}),
            ("PUT /v2/user_auth", {"credentials": _MD5, "account_realm": _REALM}),
            ("PUT /v2/user_auth", {"credentials": _MD5, "realm": _REALM.upper()}),
            ("PUT /v2/user_auth", {"credentials": _MD5, "realm": _REALM, "method": "md5"}),
            ("PUT /v2/user_auth", {"credentials": _SHA, "realm": _REALM, "method": "sha"}),
            ("PUT /v2/user_auth", {"credentials": _SHA, "realm": _REALM, "account_name": None}),
            ("PUT /v1/user_auth/", {"credentials": _MD5, "realm": _REALM, "ui_metadata": {}}),
            ("POST /v2/user_auth?verb=PUT", {"credentials": _MD5, "realm": _REALM}),
        )
    ]
)
def test_a_user_gets_a_token_and_who_they_are(rest: Rest, office: Tenant, case: Case) -> None:
    reply = case.run(rest, office)
    envelope = reply.json
    assert (envelope["revision"], envelope["status"]) == ("automatic", "success")
    assert envelope["data"] == has(
        account_id=office.id,
        account_name="Ann's Office",
        language="en-us",
        is_reseller=False,
        apps=[],
        owner_id=rest.run(rest.core.users.log_in(_MD5, account_realm=_REALM)).user.id,
    )
    listed = rest.send("GET", office.media, None, [("x-auth-token", envelope["auth_token"])])
    assert listed.status == 200


def test_the_token_says_who_logged_in(rest: Rest, office: Tenant) -> None:
    body = _log_in(credentials=_MD5, realm=_REALM)
    reply = ask(rest, office, "PUT /v2/user_auth", body, token=False)
    payload = reply.json["auth_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims == has(iss="kazoo", account_id=office.id, owner_id=reply.data["owner_id"])


def _enum(value: str) -> dict[str, object]:
    text = "Value not found in enumerated list of values"
    return {"enum": {"message": text, "target": ["md5", "sha"], "value": value}}


def _required(field: str) -> dict[str, object]:
    return {"required": {"message": "Field is required but missing", "value": field}}


def _no_string(value: object) -> dict[str, object]:
    text = "Value did not match type(s): string"
    return {"type": {"message": text, "target": "string", "value": value}}


@table(
    [
        Case("PUT /v2/user_auth", status, body, token=False, message=message, data=data)
        for status, message, body, data in (
            (400, "validation error", b"", {"credentials": _required("credentials")}),
            (
                400,
                "validation error",
                _log_in(method="sha256", realm=7),
                {
                    "credentials": _required("credentials"),
                    "method": _enum("sha256"),
                    "realm": _no_string(7),
                },
            ),
            (
                400,
                "validation error",
                _log_in(credentials=["x"], account_name={}),
                {"credentials": _no_string(["x"]), "account_name": _no_string({})},
            ),
            (400, "validation error", b"{", has(json=has())),
            (401, "invalid_credentials", _log_in(credentials=_MD5), _WRONG),
            (401, "invalid_credentials", _log_in(credentials="0" * 32, realm=_REALM), _WRONG),
            (401, "invalid_credentials", _log_in(credentials="", realm=_REALM), _WRONG),
            (401, "invalid_credentials", _log_in(credentials=_MD5, realm="no.example"), _WRONG),
            (401, "invalid_credentials", _log_in(credentials=_MD5, account_name="nobody"), _WRONG),
            (401, "invalid_credentials", _log_in(credentials=_MD5, account_name="?!"), _WRONG),
            (
                401,
                "invalid_credentials",
                _log_in(credentials=_MD5, account_name="bobsoffice"),
                _WRONG,
            ),
        )
    ]
)
def test_an_invalid_log_in_is_refused(rest: Rest, office: Tenant, case: Case) -> None:
    reply = case.run(rest, office)
    assert reply.json["auth_token"] == "undefined"


@table(
    [
        Case("GET /v2/user_auth", 405, answer={"allow": "OPTIONS, PUT"}),
        Case("POST /v2/user_auth", 405, {"data": {}}, answer={"allow": "OPTIONS, PUT"}),
        Case("DELETE /v2/user_auth", 405, message="invalid_method"),
        Case("HEAD /v2/user_auth", 405),
        Case("PUT /v2/user_auth/recovery", 404, {"data": {}}, message="not_found"),
        Case("GET /v2/user_auth/abc", 404, message="not_found"),
        Case("PUT /v2/accounts/{A}/user_auth", 404, {"data": {}}, message="not_found"),
        Case("PUT /v2/user_auth", 406, _log_in(credentials=_MD5), {"accept": "text/html"}),
        Case(
            "OPTIONS /v2/user_auth",
            200,
            answer={"access-control-allow-methods": "OPTIONS, PUT, POST", "content-length": "0"},
        ),
    ]
)
def test_user_auth_is_only_for_logging_in(rest: Rest, office: Tenant, case: Case) -> None:
    case.run(rest, office)


def _wrong_key(tenant: Tenant) -> str:
    """Return a key that begins unlike the tenant's."""
    return ("1" if tenant.api_key[0] == "0" else "0") * 64


def _try(rest: Rest, path: str, peer: str, **data: object) -> Reply:
    return rest.send("PUT", path, json.dumps({"data": data}).encode(), peer=peer)


def _guess_until_refused(rest: Rest, path: str, peer: str, **data: object) -> Reply:
    for _ in range(2 * BURST):
        reply = _try(rest, path, peer, **data)
        if reply.status != 401:
            return reply
    raise AssertionError("guessing was never refused")


def _is_refused(
    rest: Rest, path: str, peer: str, wrong: dict[str, str], then: Callable[[], Reply]
) -> bool:
    """Tell whether a request is refused after too many guesses; an attempt may come back just
    between the two.
    """
    for _ in range(3):
        _guess_until_refused(rest, path, peer, **wrong)
        if then().status == 429:
            return True
    return False


def test_guessing_keys_is_slowed_down(rest: Rest, tenant: Tenant) -> None:
    path, peer = "/v2/api_auth", "127.0.1.1"
    wrong = {"api_key": _wrong_key(tenant)}
    reply = _guess_until_refused(rest, path, peer, **wrong)
    assert (reply.status, reply.json["message"]) == (429, "too_many_requests")
    assert (reply.json["error"], reply.data) == ("429", {"message": "too many requests"})
    assert 1 <= int(reply.headers["retry-after"]) <= 2
    assert reply.headers["access-control-allow-origin"] == "*"

    def same_beginning() -> Reply:
        return _try(rest, path, peer, api_key=wrong["api_key"][:8] + tenant.api_key[8:])

    def forged() -> Reply:
        headers = [("x-rest-peer", "127.0.1.3"), ("x-forwarded-for", "127.0.1.3")]
        return rest.send("PUT", path, json.dumps({"data": wrong}).encode(), headers, peer=peer)

    assert _is_refused(rest, path, peer, wrong, same_beginning)
    assert _is_refused(rest, path, peer, wrong, forged)
    assert _try(rest, path, "127.0.1.2", **wrong).status == 401
    assert _try(rest, path, peer, api_key=tenant.api_key).status == 201


def test_an_address_that_guesses_ever_new_keys_is_refused_at_last(
    rest: Rest, tenant: Tenant
) -> None:
    path, peer = "/v2/api_auth", "127.0.1.6"
    keys = (f"{number:08}" * 8 for number in range(2 * ADDRESS_BURST))
    replies = (_try(rest, path, peer, api_key=each) for each in keys)
    reply = next(each for each in replies if each.status != 401)
    assert (reply.status, reply.json["message"]) == (429, "too_many_requests")
    assert reply.headers["retry-after"] == "1"
    assert _try(rest, path, "127.0.1.7", api_key=tenant.api_key).status == 201


def test_guessing_a_users_password_is_slowed_down_for_that_account(
    rest: Rest, office: Tenant
) -> None:
    path, peer = "/v2/user_auth", "127.0.1.4"
    wrong = {"credentials": "0" * 32, "account_name": "guessed"}

    def spelt() -> Reply:
        return _try(rest, path, peer, credentials="1" * 32, account_name="GUESSED!")

    assert _is_refused(rest, path, peer, wrong, spelt)
    assert _try(rest, path, peer, credentials=_MD5, realm=_REALM).status == 201
    assert _try(rest, "/v2/api_auth", peer, api_key=office.api_key).status == 201


def test_many_good_log_ins_at_once_all_succeed(rest: Rest, office: Tenant) -> None:
    path, peer = "/v2/user_auth", "127.0.1.8"

    def good(_: int) -> int:
        return _try(rest, path, peer, credentials=_MD5, realm=_REALM).status

    with ThreadPoolExecutor(BURST + 2) as clients:
        assert set(clients.map(good, range(BURST + 2))) == {201}


def test_good_log_ins_are_not_limited(rest: Rest, tenant: Tenant) -> None:
    for _ in range(BURST + 5):
        reply = _try(rest, "/v2/api_auth", "127.0.1.5", api_key=tenant.api_key)
        assert reply.status == 201
