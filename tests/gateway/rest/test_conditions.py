"""kazoo-v2, sections 1, 2 and 8: If-Match and If-None-Match, on documents and on audio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
]


def _with_tag(headers: dict[str, str], tag: str) -> dict[str, str]:
    return {name: value.replace("{R}", tag) for name, value in headers.items()}


@pytest.mark.parametrize(("headers", "status"), _READS, ids=map(str, _READS))
@pytest.mark.parametrize("path", ["", "/raw"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read(
    rest: Rest, tenant: Tenant, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    tag = ask(rest, tenant, f"GET {{M}}/{media_id}{path}").headers["etag"]
    reply = ask(rest, tenant, f"{method} {{M}}/{media_id}{path}", None, _with_tag(headers, tag))
    assert reply.status == status
    assert reply.headers.get("etag") == (None if status == 412 else tag)
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
    sent = _with_tag(headers, before.headers["etag"])
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


def test_a_list_has_no_tag_to_match(rest: Rest, tenant: Tenant) -> None:
    for headers in ({"if-none-match": "*"}, {"if-match": '"x"'}):
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
