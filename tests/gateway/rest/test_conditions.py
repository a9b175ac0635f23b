"""kazoo-v2, sections 1, 2 and 8: conditions by tag and by date, on documents and on audio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.1)
_BODY = {"data": {"name": "new"}}

_READS = [
    ({}, 200),
    ({"if-none-match": "{R}"}, 304),
    ({"if-none-match": "W/{R}"}, 304),
    ({"if-none-match": '"x", {R}'}, 304),
    ({"if-none-match": '"x",W/{R},"y"'}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": '"x"'}, 200),
    ({"if-none-match": '"x", "y"'}, 200),
    ({"if-none-match": ""}, 200),
    ({"if-match": "{R}"}, 200),
    ({"if-match": '"x", {R}'}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": ""}, 200),
    ({"if-match": '"x"'}, 412),
    ({"if-match": "W/{R}"}, 412),
    ({"if-match": "{R}", "if-none-match": "{R}"}, 304),
    ({"if-match": '"x"', "if-none-match": "{R}"}, 412),
    ({"if-modified-since": "{D}"}, 304),
    ({"if-modified-since": "{D+1}"}, 304),
    ({"if-modified-since": "{D-1}"}, 200),
    ({"if-modified-since": "{D rfc850}"}, 304),
    ({"if-modified-since": "{D asctime}"}, 304),
    ({"if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}, 200),
    ({"if-modified-since": "{D}", "range": "bytes=0-9"}, 304),
    ({"if-unmodified-since": "{D}"}, 200),
    ({"if-unmodified-since": "{D+1}"}, 200),
    ({"if-unmodified-since": "{D-1}"}, 412),
    ({"if-unmodified-since": "{D asctime}"}, 200),
    ({"if-unmodified-since": "Sun Nov  6 08:49:37 1994"}, 412),
    # What is not one date has no effect.
    *(
        ({name: sent}, 200)
        for name in ("if-modified-since", "if-unmodified-since")
        for sent in ("", "yesterday", "0", "{D}, {D}", "1994-11-06T08:49:37Z", "x" * 5000)
    ),
    ({"if-modified-since": "Sun, 06 Nov 2094 08:49:37 +0100"}, 200),
    # The tags go before the dates.
    ({"if-none-match": '"x"', "if-modified-since": "{D}"}, 200),
    ({"if-none-match": "{R}", "if-modified-since": "{D-1}"}, 304),
    ({"if-none-match": "", "if-modified-since": "{D}"}, 304),
    ({"if-match": "{R}", "if-unmodified-since": "{D-1}"}, 200),
    ({"if-match": '"x"', "if-unmodified-since": "{D}"}, 412),
    ({"if-unmodified-since": "{D-1}", "if-none-match": "{R}"}, 412),
    ({"if-unmodified-since": "{D}", "if-modified-since": "{D}"}, 304),
]
_WRITES = [
    ({"if-match": "{R}"}, 200),
    ({"if-match": '"x", {R}'}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": ""}, 200),
    ({"if-match": '"1-x"'}, 412),
    ({"if-match": '"x","y"'}, 412),
    ({"if-match": "W/{R}"}, 412),
    ({"if-none-match": "{R}"}, 412),
    ({"if-none-match": "W/{R}"}, 412),
    ({"if-none-match": "*"}, 412),
    ({"if-none-match": '"x", {R}'}, 412),
    ({"if-none-match": '"x"'}, 200),
    ({"if-none-match": ""}, 200),
    ({"if-match": "{R}", "if-none-match": '"x"'}, 200),
    ({"if-match": "{R}", "if-none-match": "{R}"}, 412),
    ({"if-match": "*", "if-none-match": '"x"'}, 200),
    ({"if-unmodified-since": "{D}"}, 200),
    ({"if-unmodified-since": "{D-1}"}, 412),
    ({"if-unmodified-since": "yesterday"}, 200),
    ({"if-unmodified-since": ""}, 200),
    ({"if-modified-since": "{D}"}, 200),
    ({"if-match": "{R}", "if-unmodified-since": "{D-1}"}, 200),
    ({"if-unmodified-since": "{D}", "if-none-match": "{R}"}, 412),
]


def _with_state(headers: dict[str, str], answer: Reply) -> dict[str, str]:
    """Replace what stands for the state of an answer: {R} its tag, {D} its date in seconds."""
    date = parsedate_to_datetime(answer.headers["last-modified"])
    texts = {
        "{R}": answer.headers["etag"],
        "{D}": answer.headers["last-modified"],
        "{D+1}": format_datetime(date + timedelta(seconds=1), usegmt=True),
        "{D-1}": format_datetime(date - timedelta(seconds=1), usegmt=True),
        "{D rfc850}": date.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
        "{D asctime}": date.strftime("%a %b %e %H:%M:%S %Y"),
    }
    for text, value in texts.items():
        headers = {name: sent.replace(text, value) for name, sent in headers.items()}
    return headers


@pytest.mark.parametrize(("headers", "status"), _READS, ids=map(str, _READS))
@pytest.mark.parametrize("path", ["", "/raw"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read(
    rest: Rest, tenant: Tenant, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    known = ask(rest, tenant, f"GET {{M}}/{media_id}{path}")
    sent = _with_state(headers, known)
    reply = ask(rest, tenant, f"{method} {{M}}/{media_id}{path}", None, sent)
    assert reply.status == status
    for name in ("etag", "last-modified"):
        assert reply.headers.get(name) == (None if status == 412 else known.headers[name])
    if status == 304:
        assert reply.body == b""
    if status == 412 and method == "GET":
        assert reply.json["message"] == "precondition_failed"


@pytest.mark.parametrize(("headers", "status"), _WRITES, ids=map(str, _WRITES))
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "UPLOAD", "RAW"])
def test_a_change(
    rest: Rest, tenant: Tenant, method: str, headers: dict[str, str], status: int
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    before = ask(rest, tenant, f"GET {{M}}/{media_id}")
    sent = _with_state(headers, before)
    path = f"{{M}}/{media_id}"
    if method in {"UPLOAD", "RAW"}:
        path += "/raw" if method == "RAW" else ""
        reply = ask(rest, tenant, f"POST {path}", _WAV, {"content-type": "audio/wav", **sent})
    else:
        reply = ask(rest, tenant, f"{method} {path}", _BODY, sent)
    assert reply.status == status, reply.body
    after = ask(rest, tenant, f"GET {{M}}/{media_id}")
    if status == 412:
        assert reply.json["message"] == "precondition_failed"
        assert after.json["revision"] == before.json["revision"]
    else:
        assert after.status == (404 if method == "DELETE" else 200)


def test_a_change_may_name_the_audio(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    tag = ask(rest, tenant, f"GET {{M}}/{media_id}/raw").headers["etag"]
    path, headers = f"POST {{M}}/{media_id}/raw", {"content-type": "audio/wav", "if-match": tag}
    assert ask(rest, tenant, path, tone(0.2), headers).status == 200
    assert ask(rest, tenant, path, _WAV, headers).status == 412


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"if-match": "*"}, _BODY, 412),
        ({"if-match": '"1-x"'}, _BODY, 412),
        ({"if-match": '"1-x"'}, {"data": {}}, 400),
        ({"if-match": ""}, _BODY, 201),
        ({"if-none-match": "*"}, _BODY, 201),
        ({"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, _BODY, 201),
        ({"if-none-match": '"x"'}, _BODY, 201),
    ],
)
def test_a_create_has_nothing_to_match(
    rest: Rest,
    tenant: Tenant,
    headers: dict[str, str],
    body: dict[str, object],
    status: int,
) -> None:
    assert ask(rest, tenant, "PUT {M}", body, headers).status == status
    assert len(ask(rest, tenant, "GET {M}").data) == (status == 201)


def test_two_dates_have_no_effect(rest: Rest, tenant: Tenant) -> None:
    path = f"{tenant.media}/{create(rest, tenant)}"
    token = ("x-auth-token", tenant.token)
    date = rest.send("GET", path, None, [token]).headers["last-modified"]
    headers = [token, ("if-modified-since", date)]
    assert rest.send("GET", path, None, headers).status == 304
    assert rest.send("GET", path, None, [*headers, headers[1]]).status == 200


def test_a_list_has_no_state_to_match(rest: Rest, tenant: Tenant) -> None:
    future, past = "Sun, 06 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"
    dates = ({"if-modified-since": future}, {"if-unmodified-since": past})
    for headers in ({"if-none-match": "*"}, {"if-match": '"x"'}, *dates):
        reply = ask(rest, tenant, "GET {M}", None, headers)
        assert (reply.status, reply.headers.get("etag")) == (200, None)


def _race(count: int, send: Callable[[int], Reply]) -> list[int]:
    """Send requests as simultaneously as threads can, and return their statuses."""
    ready = threading.Barrier(count)

    def run(number: int) -> int:
        ready.wait()
        return send(number).status

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


@pytest.mark.parametrize(
    "data",
    [
        {"name": "x", "id": "mine"},
        {"name": "x", "prompt_id": "vm-x", "language": "fr-FR"},
    ],
    ids=["id", "prompt"],
)
def test_of_fifty_creates_of_one_id_one_wins(
    rest: Rest, tenant: Tenant, data: dict[str, str]
) -> None:
    def send(number: int) -> Reply:
        return ask(rest, tenant, "PUT {M}", {"data": {**data, "number": number}})

    statuses = _race(50, send)
    assert sorted(statuses) == [201] + [409] * 49
    [row] = ask(rest, tenant, "GET {M}").data
    winner = ask(rest, tenant, f"GET {{M}}/{row['id']}").data
    assert winner["number"] == statuses.index(201)


def test_of_many_changes_of_one_revision_one_wins(rest: Rest, tenant: Tenant) -> None:
    path = f"{{M}}/{create(rest, tenant)}"
    etag = ask(rest, tenant, f"GET {path}").headers["etag"]

    def send(number: int) -> Reply:
        body = {"data": {"name": "x", "number": number}}
        return ask(rest, tenant, f"POST {path}", body, {"if-match": etag})

    statuses = _race(20, send)
    assert sorted(statuses) == [200] + [412] * 19
    assert ask(rest, tenant, f"GET {path}").data["number"] == statuses.index(200)


def test_changes_of_whatever_is_there_all_happen(rest: Rest, tenant: Tenant) -> None:
    path = f"{{M}}/{create(rest, tenant)}"

    def send(number: int) -> Reply:
        return ask(rest, tenant, f"PATCH {path}", {"data": {f"k{number}": 1}}, {"if-match": "*"})

    assert _race(20, send) == [200] * 20
    found = ask(rest, tenant, f"GET {path}")
    assert {f"k{number}" for number in range(20)} <= set(found.data)
    assert found.json["revision"].startswith("21-")
