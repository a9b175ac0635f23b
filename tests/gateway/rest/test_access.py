"""kazoo-v2, section 9: tokens, accounts, the system scope, other origins."""

from __future__ import annotations

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table

pytestmark = pytest.mark.gateway


def _status(rest: Rest, request: str, body: bytes | None = None, **headers: str) -> int:
    method, _, path = request.partition(" ")
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return rest.send(method, path, body, sent).status


def test_a_token_has_three_places(rest: Rest, tenant: Tenant) -> None:
    path, token = f"GET {tenant.media}", tenant.token
    assert _status(rest, path, x_auth_token=token) == 200
    assert _status(rest, f"{path}?auth_token={token}") == 200
    assert _status(rest, path, authorization=f"Bearer {token}") == 200
    assert _status(rest, path, authorization=f"bearer  {token}") == 200
    body = f'{{"auth_token":"{token}","data":{{"name":"x"}}}}'.encode()
    assert _status(rest, f"PUT {tenant.media}", body) == 201
    inside = f'{{"data":{{"name":"x","auth_token":"{token}"}}}}'.encode()
    assert _status(rest, f"PUT {tenant.media}", inside) == 401
    assert _status(rest, path, authorization=f"Basic {token}") == 401


def test_the_header_wins_and_an_empty_one_is_as_none(rest: Rest, tenant: Tenant) -> None:
    path, token = f"GET {tenant.media}?auth_token={tenant.token}", tenant.token
    assert _status(rest, path, x_auth_token="bad.bad.bad") == 401
    assert _status(rest, path, x_auth_token="") == 200
    assert (
        _status(rest, f"GET {tenant.media}", x_auth_token="", authorization=f"Bearer {token}")
        == 200
    )
    bad_query = f"GET {tenant.media}?auth_token=bad"
    assert _status(rest, bad_query, authorization=f"Bearer {token}") == 401
    assert _status(rest, bad_query, x_auth_token=token) == 200


def test_a_token_in_a_broken_envelope_is_found(rest: Rest, tenant: Tenant) -> None:
    body = f'{{"auth_token":"{tenant.token}","data":7}}'.encode()
    assert _status(rest, f"PUT {tenant.media}", body) == 400


@pytest.mark.parametrize("token", ["x", "a.b.c", "a.b", "....", "ż", "{", "x" * 5000])
def test_a_bad_token_is_401(rest: Rest, tenant: Tenant, token: str) -> None:
    reply = rest.send(
        "GET", tenant.media, None, [("x-auth-token", token.encode().decode("latin-1"))]
    )
    assert (reply.status, reply.json["message"]) == (401, "invalid_credentials")
    assert reply.data == {"message": "invalid credentials"}


def test_a_claimed_account_must_be_the_tokens(rest: Rest, tenant: Tenant) -> None:
    path, token = f"GET {tenant.media}", tenant.token
    assert _status(rest, path, x_auth_token=token, x_auth_account_id=tenant.id) == 200
    assert _status(rest, path, x_auth_token=token, x_auth_account_id=rest.stranger.id) == 401


def test_logging_in_gives_a_token(rest: Rest, tenant: Tenant) -> None:
    headers = {"x-auth-token": ""}
    reply = ask(
        rest,
        tenant,
        "PUT /v2/api_auth",
        {"data": {"api_key": tenant.api_key}},
        headers,
        token=False,
    )
    assert reply.status == 201
    assert reply.json["revision"] == "automatic"
    assert reply.data == has(
        account_id=tenant.id,
        account_name=tenant.account.name,
        language="en-us",
        apps=[],
        is_reseller=False,
        is_master_account=False,
        reseller_id=rest.admin.id,
    )
    token = reply.json["auth_token"]
    assert token.count(".") == 2
    assert _status(rest, f"GET {tenant.media}", x_auth_token=token) == 200


@table(
    [
        Case("PUT /v2/api_auth", 401, {"data": {"api_key": "0" * 64}}, token=False),
        Case(
            "PUT /v2/api_auth",
            400,
            {"data": {"api_key": "0" * 63}},
            data=has(api_key=has(minLength=has(target=64))),
        ),
        Case(
            "PUT /v2/api_auth",
            400,
            {"data": {"api_key": "0" * 65}},
            data=has(api_key=has(maxLength=has(target=64))),
        ),
        Case("PUT /v2/api_auth", 400, {"data": {}}, data=has(api_key=has(required=has()))),
        Case("PUT /v2/api_auth", 400, {"data": {"api_key": 7}}, data=has(api_key=has(type=has()))),
        Case("PUT /v2/api_auth", 400, b"{", data=has(json=has())),
        Case("PUT /v1/api_auth/", 400, b"", data=has(api_key=has())),
    ]
)
def test_a_bad_key_is_refused(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_rotating_a_key_ends_its_tokens(rest: Rest, tenant: Tenant) -> None:
    assert ask(rest, tenant, "GET {M}").status == 200
    rest.run(rest.core.accounts.rotate_api_key(rest.admin_caller, tenant.id))
    assert ask(rest, tenant, "GET {M}").status == 401
    login = {"data": {"api_key": tenant.api_key}}
    assert ask(rest, tenant, "PUT /v2/api_auth", login).status == 401


def test_an_account_reaches_itself_and_its_descendants(rest: Rest) -> None:
    def reach(who: Tenant, whom: Tenant) -> list[int]:
        body = {"data": {"name": "x"}}
        return [
            ask(rest, who, f"GET {whom.media}").status,
            ask(rest, who, f"PUT {whom.media}", body).status,
        ]

    assert reach(rest.tenant, rest.tenant) == [200, 201]
    assert reach(rest.tenant, rest.child) == [200, 201]
    assert reach(rest.admin, rest.child) == [200, 201]
    assert reach(rest.child, rest.tenant) == [403, 403]
    assert reach(rest.stranger, rest.tenant) == [403, 403]
    assert reach(rest.stranger, rest.admin) == [403, 403]


def test_an_account_id_in_capitals_is_the_same(rest: Rest, tenant: Tenant) -> None:
    created = ask(
        rest, tenant, f"PUT /v2/accounts/{tenant.id.upper()}/media", {"data": {"name": "x"}}
    )
    assert created.headers["location"].startswith(tenant.media)
    assert len(ask(rest, tenant, "GET {M}").data) == 1


@table(
    [
        Case("GET /v2/accounts/" + "0" * 32 + "/media", 404, data=has(cause="0" * 32)),
        Case("GET /v2/accounts/none/media", 404, data=has(cause="none")),
        Case("GET /v2/accounts/%00/media", 400, of_gateway=True),
        Case("GET /v2/media", 200),
        Case("GET /v2/media/prompts", 200),
        Case("GET /v2/media/none", 404),
        Case("PUT /v2/media", 403, {"data": {"name": "x"}}),
        Case("POST /v2/media/none", 403, {"data": {"name": "x"}}),
        Case("PATCH /v2/media/none", 403, {"data": {}}),
        Case("DELETE /v2/media/none", 403),
        Case("GET /v2/media", 401, token=False),
        Case("GET /v2/media/prompts", 401, token=False),
    ]
)
def test_scopes(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_the_media_of_two_accounts_are_apart(rest: Rest, tenant: Tenant) -> None:
    other = rest.new_tenant()
    create(rest, tenant, id="same", name="mine")
    create(rest, other, id="same", name="theirs")
    assert ask(rest, tenant, "DELETE {M}/same").data["name"] == "mine"
    assert ask(rest, other, "GET {M}/same").data["name"] == "theirs"


_ORIGIN = {"origin": "https://ui.example", "access-control-request-method": "PUT"}
_EXPOSED = "x-request-id, etag, location, content-range, content-disposition"


@table(
    [
        Case(
            f"OPTIONS {path}",
            200,
            headers=_ORIGIN,
            token=False,
            answer={
                "access-control-allow-origin": "*",
                "access-control-allow-methods": methods,
                "access-control-expose-headers": _EXPOSED,
                "access-control-max-age": "86400",
                "content-length": "0",
            },
        )
        for path, methods in (
            ("{M}", "OPTIONS, GET, HEAD, PUT, POST"),
            ("{M}/", "OPTIONS, GET, HEAD, PUT, POST"),
            ("/v1/accounts/{A}/media", "OPTIONS, GET, HEAD, PUT, POST"),
            ("/v2/media", "OPTIONS, GET, HEAD, PUT, POST"),
            ("{M}/abc", "OPTIONS, GET, HEAD, POST, PATCH, DELETE"),
            ("{M}/fr-fr%2Fvm-x", "OPTIONS, GET, HEAD, POST, PATCH, DELETE"),
            ("{M}/abc/raw", "OPTIONS, GET, HEAD, POST"),
            ("{M}/abc/raw.mp3?auth_token=x", "OPTIONS, GET, HEAD, POST"),
            ("{M}/prompts", "OPTIONS, GET, HEAD"),
            ("{M}/languages/missing", "OPTIONS, GET, HEAD"),
            ("/v2/api_auth", "OPTIONS, PUT, POST"),
        )
    ]
)
def test_a_preflight_needs_no_token(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


_KAZOO_HEADERS = (
    "Content-Type, Depth, User-Agent, X-Http-Method-Override, X-File-Size, X-Requested-With,"
    " If-Modified-Since, X-File-Name, Cache-Control, X-Auth-Token, X-Kazoo-Cluster-ID, If-Match"
)


def test_a_browser_may_send_kazoos_headers_and_all_that_are_described(
    rest: Rest, tenant: Tenant
) -> None:
    """Names in the description: of parameters, and of the ways to send a token."""
    description = rest.send("GET", "/v2/openapi.json").json
    components = description["components"]
    inline = [
        parameter
        for item in description["paths"].values()
        for operation in (item, *(each for each in item.values() if isinstance(each, dict)))
        for parameter in operation.get("parameters", ())
        if "$ref" not in parameter
    ]
    parameters = [*components["parameters"].values(), *inline]
    schemes = components["securitySchemes"].values()
    described = {each["name"].lower() for each in parameters if each["in"] == "header"}
    described |= {each["name"].lower() for each in schemes if each.get("in") == "header"}
    if any(each["type"] == "http" for each in schemes):
        described.add("authorization")
    assert {"range", "if-range", "if-none-match", "content-transfer-encoding"} <= described

    reply = ask(rest, tenant, "OPTIONS {M}/abc/raw", None, _ORIGIN, token=False)
    allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
    assert len(allowed) == len(set(allowed))
    others = {"accept", "x-auth-account-id", "x-pretty-print", "x-request-id"}
    assert set(allowed) == {*_KAZOO_HEADERS.lower().split(", "), *described, *others}


@table(
    [
        Case(request, status, body, {"origin": "https://ui.example"}, token=token, answer=answer)
        for answer in (
            {"access-control-allow-origin": "*", "access-control-expose-headers": _EXPOSED},
        )
        for request, status, body, token in (
            ("GET {M}", 200, None, True),
            ("PUT {M}", 201, {"data": {"name": "x"}}, True),
            ("PUT {M}", 400, {"data": {}}, True),
            ("GET {M}", 401, None, False),
            ("GET {M}/none", 404, None, True),
            ("PUT {M}/none", 405, None, True),
            ("GET /none", 404, None, True),
        )
    ]
)
def test_other_origins_see_every_answer(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)
