"""kazoo-v2, section 1: paths, verbs, ids, the order of checks."""

from __future__ import annotations

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.servicer import Servicer
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_LIST_ALLOW = "OPTIONS, GET, HEAD, PUT"
_ITEM_ALLOW = "OPTIONS, GET, HEAD, POST, PATCH, DELETE"
_RAW_ALLOW = "OPTIONS, GET, HEAD, POST"
_READ_ALLOW = "OPTIONS, GET, HEAD"
_NOT_ALLOWED = {"message": "method not allowed"}


def _refused(request: str, allow: str) -> Case:
    return Case(
        request,
        405,
        token=False,
        message="invalid_method",
        data=_NOT_ALLOWED,
        answer={"allow": allow, "content-type": "application/json"},
    )


@table(
    [
        *(
            _refused(f"{verb} {scope}{path}", allow)
            for scope in ("{M}", "/v2/media", "/v1/accounts/{A}/media")
            for path, allow in (
                ("", _LIST_ALLOW),
                ("/abc", _ITEM_ALLOW),
                ("/abc/raw.mp3", _RAW_ALLOW),
                ("/prompts", _READ_ALLOW),
                ("/prompts/vm-x", _READ_ALLOW),
                ("/languages", _READ_ALLOW),
                ("/languages/missing", _READ_ALLOW),
            )
            for verb in ("PUT", "POST", "PATCH", "DELETE", "TRACE")
            if verb not in allow
        ),
        _refused("DELETE /v2/media/tts/voices", _READ_ALLOW),
        _refused("POST {M}/abc/peaks", _READ_ALLOW),
        _refused("DELETE /v2/media/abc/peaks", _READ_ALLOW),
        _refused("GET /v2/api_auth", "OPTIONS, PUT"),
        _refused("POST /v2/api_auth", "OPTIONS, PUT"),
        _refused("DELETE /v2/api_auth", "OPTIONS, PUT"),
    ]
)
def test_a_verb_that_a_path_does_not_have_is_refused_before_authentication(
    rest: Rest, tenant: Tenant, case: Case
) -> None:
    case.run(rest, tenant)


def test_a_verb_has_capital_letters(rest: Rest, tenant: Tenant) -> None:
    """HTTP/2 brings verbs of any letters; HTTP/1 only those that the gateway knows."""
    for verb in ("get", "Put", "WHAT-EVER"):
        sent = [("x-auth-token", tenant.token)]
        reply = Servicer(rest).send(verb, tenant.media, None, sent)
        assert (reply.status, reply.headers["allow"]) == (405, _LIST_ALLOW)


@table(
    [
        Case(request, 404, token=False, message="not_found", data={"message": "not found"})
        for request in (
            "GET {M}/abc/original",
            "GET {M}/abc/RAW",
            "GET {M}/abc/raw/mp3",
            "GET {M}/abc/peaks.json",
            "GET {M}/abc/peaks/800",
            "POST {M}/abc/rawer",
            "DELETE {M}/abc/def",
            "PUT {M}/a/b/c/d",
            "GET {M}/prompts/a/b",
            "GET {M}/tts",
            "POST {M}/tts",
            "GET {M}/tts/raw",
            "POST {M}/tts/raw",
            "GET {M}/tts/voices/x",
            "GET /v2/accounts/{A}",
            "GET /v2/accounts/{A}/users",
            "PUT /v2/accounts/{A}/api_auth",
            "GET /v2/accounts/media",
            "GET /v2",
            "GET /v3/media",
            "GET /",
            "GET /anything",
            "OPTIONS /v2/anything",
        )
    ]
)
def test_a_path_that_names_nothing_is_404_before_authentication(
    rest: Rest, tenant: Tenant, case: Case
) -> None:
    case.run(rest, tenant)


@table(
    [
        Case("GET /v1/accounts/{A}/media", 200, data=[]),
        Case("GET {M}/", 200, data=[]),
        Case("GET /v2//accounts//{A}///media//", 200, data=[]),
        Case("GET {M}?_=1795404536759", 200, data=[]),
        Case("GET {M}?unknown=1&also[]=2", 200, data=[]),
        Case("PUT {M}/", 201, {"data": {"name": "File"}}),
        Case("GET {M}/silence_stream%3A%2F%2F300000", 404, message="bad_identifier"),
        Case("GET {M}/Prompts", 404, message="bad_identifier"),
        Case("GET {M}/LANGUAGES", 404, message="bad_identifier"),
        Case("GET {M}/%ff", 400, message="validation error", of_gateway=True),
        Case("GET {M}/%25ff", 400, message="validation error"),
        Case("DELETE {M}/%ff", 400, message="validation error", of_gateway=True),
        Case("POST {M}/%ff/raw", 400, b"x", {"content-type": "audio/mp3"}, of_gateway=True),
        Case("GET {M}/a%00b", 400),
        Case("GET {M}/a%2500b", 400, message="validation error"),
        Case("GET {M}/..%2Fx", 404, data={"message": "bad identifier", "cause": "../x"}),
    ]
)
def test_paths(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


@pytest.mark.parametrize(
    "path", ["fr-fr%2Fvm-x", "fr-fr%252Fvm-x", "fr%2Dfr%2Fvm%2Dx", "fr-fr%2fvm-x"]
)
def test_an_id_is_decoded_twice(rest: Rest, tenant: Tenant, path: str) -> None:
    create(rest, tenant, prompt_id="vm-x", language="fr-FR")
    assert ask(rest, tenant, f"GET {{M}}/{path}").data["prompt_id"] == "vm-x"
    assert ask(rest, tenant, f"GET {{M}}/{path}/").status == 200
    upload(rest, tenant, path, tone(0.1))
    assert ask(rest, tenant, f"GET {{M}}/{path}/raw.wav").body == tone(0.1)
    assert ask(rest, tenant, f"DELETE {{M}}/{path}").status == 200


def test_a_query_key_never_reaches_another_account_or_media(rest: Rest, tenant: Tenant) -> None:
    other = rest.new_tenant()
    secret = create(rest, other, name="secret")
    mine = create(rest, tenant, name="mine")
    listed = ask(rest, tenant, f"GET {{M}}?account_id={other.id}").data
    assert [row["name"] for row in listed] == ["mine"]
    query = f"?account_id={other.id}&media_id={secret}"
    assert ask(rest, tenant, f"GET {{M}}/{mine}{query}").data["name"] == "mine"
    assert ask(rest, tenant, f"DELETE {{M}}/{mine}{query}").data["name"] == "mine"
    assert ask(rest, other, f"GET {{M}}/{secret}").status == 200


def test_a_body_field_never_reaches_another_account_or_media(rest: Rest, tenant: Tenant) -> None:
    other = rest.new_tenant()
    secret = create(rest, other, name="secret")
    mine = create(rest, tenant, name="mine")
    body = {"account_id": other.id, "media_id": secret, "data": {"name": "new", "id": secret}}
    assert ask(rest, tenant, f"POST {{M}}/{mine}", body).data["id"] == mine
    assert ask(rest, other, f"GET {{M}}/{secret}").data["name"] == "secret"
    created = ask(rest, tenant, "PUT {M}", {"account_id": other.id, "data": {"name": "x"}})
    assert tenant.id in created.headers["location"]


def test_system_is_no_account_id(rest: Rest, tenant: Tenant) -> None:
    for who in (tenant, rest.admin):
        reply = ask(rest, who, "GET /v2/accounts/system/media")
        assert (reply.status, reply.json["message"]) == (404, "bad_identifier")


@table(
    [
        Case("POST {M}?verb=PUT", 201, {"data": {"name": "File"}}),
        Case("POST {M}?verb=put", 201, {"data": {"name": "File"}}),
        Case("POST {M}", 201, {"data": {"name": "File"}, "verb": "PUT"}),
        Case("PUT {M}", 201, {"data": {"name": "File"}, "verb": "PUT"}),
        Case("POST {M}?verb=DELETE", 405, {"data": {}}),
        Case("POST {M}?verb=GET", 405, {"data": {}}),
        Case("POST {M}", 405, {"data": {"verb": "PUT", "name": "File"}}),
        Case("POST {M}/abc/raw?verb=DELETE", 405, {"data": {}}),
        Case("POST {M}/prompts?verb=PUT", 405, {"data": {}}),
        Case("POST /v2/api_auth?verb=PUT", 400, {"data": {}}, data=has(api_key=has())),
        Case("POST {M}/abc?verb=DELETE", 404, {"data": {}}, message="bad_identifier"),
        Case("GET {M}?verb=PUT", 200, data=[]),
    ]
)
def test_a_post_may_tunnel_another_verb(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_a_tunnelled_verb_acts_on_the_document(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant, description="kept")
    body = {"verb": "PATCH", "data": {"name": "new"}}
    patched = ask(rest, tenant, f"POST {{M}}/{media_id}", body)
    assert patched.data == has(name="new", description="kept")
    deleted = ask(rest, tenant, f"POST {{M}}/{media_id}?verb=delete")
    assert deleted.data["_read_only"] == {"deleted": True}
    assert ask(rest, tenant, f"GET {{M}}/{media_id}").status == 404


@table(
    [
        # Each request is wrong in several ways: the first check of the order answers.
        Case("PUT {M}/abc", 405, b"{", token=False),
        Case("PUT {M}", 401, b"{", token=False),
        Case("PUT /v2/accounts/0000/media", 401, b"{", token=False),
        Case("PUT /v2/accounts/0000/media", 404, b"{", message="bad_identifier"),
        Case("PUT /v2/media", 403, b"{", message="forbidden"),
        Case("PUT {M}", 400, b"{", {"accept": "text/html"}, data=has(json=has())),
        Case("POST {M}/abc", 406, {"data": {}}, {"accept": "text/html"}),
        Case("POST {M}/abc", 404, {"data": {}}, {"if-match": '"1-x"'}),
        Case("POST {M}/abc/raw", 404, b"", {"content-type": "application/pdf"}),
        Case("POST {M}/abc", 401, b"x", {"content-type": "audio/mp3"}, token=False),
    ]
)
def test_the_order_of_checks_before_the_document(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


def test_the_order_of_checks_on_the_document(rest: Rest, tenant: Tenant) -> None:
    path = f"POST {{M}}/{create(rest, tenant)}"
    stale = {"if-match": '"1-stale"'}
    foreign = {"content-type": "application/pdf"}
    assert ask(rest, tenant, path, {"data": {"name": ""}}, stale).status == 400
    assert ask(rest, tenant, path, {"data": {"name": "x"}}, stale).status == 412
    assert ask(rest, tenant, path, b"%PDF", {**foreign, **stale}).status == 412
    assert ask(rest, tenant, path, b"%PDF", foreign).status == 415
