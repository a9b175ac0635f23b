"""kazoo-v2, sections 2 and 4: the envelopes of successes and errors."""

from __future__ import annotations

import re

import pytest

from kazoo_media.errors import InternalError, StorageFullError, StoreUnavailableError
from tests.gateway.rest.rig import NODE, VERSION, Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_REVISION = re.compile(r"[1-9][0-9]*-[0-9a-f]{32}")


def test_a_success_has_the_whole_envelope(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}", headers={"x-request-id": "my-request"})
    envelope = reply.json
    assert set(envelope) == {
        *("data", "revision", "timestamp", "version", "node", "request_id", "status"),
        "auth_token",
    }
    assert _REVISION.fullmatch(envelope["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", envelope["timestamp"])
    assert envelope == has(
        version=VERSION,
        node=NODE,
        request_id="my-request",
        status="success",
        auth_token=tenant.token,
    )
    assert reply.headers["x-request-id"] == "my-request"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["etag"] == f'"{envelope["revision"]}"'
    assert int(reply.headers["content-length"]) == len(reply.body)


@pytest.mark.parametrize("path", ["{M}", "{M}/none", "/v2/none", "{M}/%ff"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my-request", "my-request"),
        ('a"b\\c d', 'a"b\\c d'),
        ("r" * 128, "r" * 128),
        ("r" * 129, "r" * 128),
        ("a\tb", "a%09b"),
        ("\u017c".encode().decode("latin-1"), "%C5%BC"),
    ],
)
def test_the_request_id_in_header_and_envelope_is_the_clients(
    rest: Rest, tenant: Tenant, path: str, sent: str, kept: str
) -> None:
    reply = ask(rest, tenant, f"GET {path}", headers={"x-request-id": sent})
    assert (reply.headers["x-request-id"], reply.json["request_id"]) == (kept, kept)


def test_an_empty_request_id_is_as_none(rest: Rest, tenant: Tenant) -> None:
    reply = ask(rest, tenant, "GET {M}", headers={"x-request-id": ""})
    assert reply.json["request_id"] == reply.headers["x-request-id"] != ""


def test_a_request_without_an_id_gets_one(rest: Rest, tenant: Tenant) -> None:
    reply = ask(rest, tenant, "GET {M}")
    assert reply.json["request_id"] == reply.headers["x-request-id"] != ""


def test_an_error_has_the_whole_envelope(rest: Rest, tenant: Tenant) -> None:
    headers = {"x-request-id": "my-request"}
    reply = ask(rest, tenant, "GET {M}/0000", headers=headers)
    envelope = reply.json
    assert envelope.pop("timestamp")
    assert envelope == {
        "auth_token": tenant.token,
        "request_id": "my-request",
        "node": NODE,
        "version": VERSION,
        "status": "error",
        "message": "bad_identifier",
        "error": "404",
        "data": {"message": "bad identifier", "cause": "0000"},
    }
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["access-control-allow-origin"] == "*"


@table(
    [
        Case("GET {M}", 401, token=False, data={"message": "invalid credentials"}),
        Case("GET /v2/accounts/x/media", 404, data={"message": "bad identifier", "cause": "x"}),
        Case("PUT /v2/media", 403, {"data": {}}, data={"message": "forbidden"}),
        Case("GET /v2/x", 404, token=False, data={"message": "not found"}),
    ]
)
def test_error_texts(rest: Rest, tenant: Tenant, case: Case) -> None:
    reply = case.run(rest, tenant)
    assert reply.json["error"] == str(case.status)
    assert reply.json["auth_token"] == (tenant.token if case.token else "undefined")


def test_numbers_stay_numbers_and_unknown_keys_stay(rest: Rest, tenant: Tenant) -> None:
    document = {
        "ui_metadata": {"version": "4.0-7", "n": [1, 2**53 + 1, 1.5, 0, -7]},
        "big": 9_007_199_254_740_993,
        "empty": [],
        "nothing": None,
        "ż": "\u2028<&>",
    }
    media_id = create(rest, tenant, **document)
    reply = ask(rest, tenant, f"GET {{M}}/{media_id}")
    assert reply.data == has(**document)
    assert b'"big":9007199254740993' in reply.body


def test_private_keys_are_not_stored(rest: Rest, tenant: Tenant) -> None:
    data = {"name": "File", "_rev": "x", "pvt_account_id": "y"}
    reply = ask(rest, tenant, "PUT {M}", {"data": data})
    assert not {"_rev", "pvt_account_id"} & set(reply.data)


def test_a_known_revision_is_not_sent_again(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    path = f"GET {{M}}/{media_id}"
    etag = ask(rest, tenant, path).headers["etag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = ask(rest, tenant, path, headers={"if-none-match": sent})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", etag)
    assert ask(rest, tenant, path, headers={"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_stale_revision_is_refused(rest: Rest, tenant: Tenant, method: str) -> None:
    media_id = create(rest, tenant)
    path, body = f"{{M}}/{media_id}", {"data": {"name": "new"}}
    etag = ask(rest, tenant, f"GET {path}").headers["etag"]
    refused = ask(rest, tenant, f"{method} {path}", body, {"if-match": '"1-stale"'})
    assert (refused.status, refused.json["message"]) == (412, "precondition_failed")
    assert ask(rest, tenant, f"GET {path}").headers["etag"] == etag
    accepted = ask(rest, tenant, f"{method} {path}", body, {"if-match": f'"1-stale", {etag}'})
    assert accepted.status == 200


def test_a_stale_revision_refuses_an_upload(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    headers = {"content-type": "audio/x-wav", "if-match": '"1-stale"'}
    assert ask(rest, tenant, f"POST {{M}}/{media_id}/raw", tone(0.1), headers).status == 412
    etag = ask(rest, tenant, f"GET {{M}}/{media_id}").headers["etag"]
    headers["if-match"] = etag
    assert ask(rest, tenant, f"POST {{M}}/{media_id}/raw", tone(0.1), headers).status == 200


def test_a_head_has_the_headers_of_a_get(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, tone(0.1))
    for path in ("", "/raw", "/raw.wav", "/none"):
        got = ask(rest, tenant, f"GET {{M}}/{media_id}{path}")
        head = ask(rest, tenant, f"HEAD {{M}}/{media_id}{path}")
        assert (head.status, head.body) == (got.status, b"")
        for name in ("content-type", "content-length", "etag", "content-disposition"):
            if name != "content-length" or got.status == 200:
                assert head.headers.get(name) == got.headers.get(name), (path, name)
    for path in ("", "/prompts", "/prompts/x", "/languages", "/languages/missing"):
        assert ask(rest, tenant, f"HEAD {{M}}{path}").status == 200


@pytest.mark.parametrize(
    ("error", "status", "message", "data"),
    [
        (StoreUnavailableError(), 503, "datastore_unreachable", {"message": "datastore timeout"}),
        (InternalError(), 500, "internal error", {}),
        (RuntimeError("secret detail"), 500, "internal error", {}),
        (StorageFullError(), 507, "insufficient_storage", has()),
    ],
)
def test_a_failing_store_is_an_envelope_and_changes_nothing(
    rest: Rest,
    tenant: Tenant,
    error: Exception,
    status: int,
    message: str,
    data: object,
) -> None:
    media_id = create(rest, tenant)
    rest.blobs.write_error = error
    try:
        path, headers = f"POST {{M}}/{media_id}/raw", {"content-type": "audio/x-wav"}
        reply = ask(rest, tenant, path, tone(0.1), headers)
    finally:
        rest.blobs.write_error = None
    assert (reply.status, reply.json["message"], reply.json["error"]) == (
        status,
        message,
        str(status),
    )
    assert data == reply.data
    assert b"secret detail" not in reply.body
    assert ("retry-after" in reply.headers) == (status == 503)
    assert "content_type" not in ask(rest, tenant, f"GET {{M}}/{media_id}").data
