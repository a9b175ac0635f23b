"""The recorder target: Kazoo's storage plans, `kz_http_put`, FreeSWITCH."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing

import pytest

from kazoo_media.recordings.files import MOST_TEXT_BYTES
from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import ask, create, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.2)
_OTHER = tone(0.3)
_TYPE = {"content-type": "audio/x-wav"}


def _basic(tenant: Tenant, key: str = "") -> dict[str, str]:
    text = f"{tenant.id}:{key or tenant.api_key}"
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def _put(
    rest: Rest,
    tenant: Tenant,
    body: bytes,
    headers: Mapping[str, str] = _TYPE,
    query: str = "",
    method: str = "PUT",
) -> Reply:
    sent = {**_basic(tenant), **headers}
    request = f"{method} /recordings/{{A}}/call.wav{query}"
    return ask(rest, tenant, request, body, sent, token=False)


def _get(rest: Rest, tenant: Tenant, file_name: str = "call.wav") -> Reply:
    request = f"GET /recordings/{{A}}/{file_name}"
    return ask(rest, tenant, request, None, _basic(tenant), token=False)


def _recordings(rest: Rest, tenant: Tenant) -> list[dict[str, object]]:
    found: list[dict[str, object]] = ask(rest, tenant, "GET /v2/accounts/{A}/recordings").data
    return found


def test_a_file_becomes_a_recording(rest: Rest, tenant: Tenant) -> None:
    query = "?from=a%40b&to=c&call_id=c1&start=63900000000&key=secret&auth_token="
    reply = _put(rest, tenant, _WAV, query=query)
    assert reply.status == 201
    [recording] = _recordings(rest, tenant)
    assert recording == reply.data
    wanted = {"name": "call.wav", "from": "a@b", "to": "c", "call_id": "c1", "start": 63900000000}
    assert recording.items() >= wanted.items()
    assert "key" not in recording
    found = _get(rest, tenant)
    assert (found.status, found.headers["content-type"]) == (200, "audio/x-wav")
    assert found.body == _WAV


def test_a_file_never_becomes_a_prompt(rest: Rest, tenant: Tenant) -> None:
    prompt = create(rest, tenant, prompt_id="vm-greeting", language="en-us")
    upload(rest, tenant, prompt, _OTHER)
    query = "?prompt_id=vm-greeting&language=en-us&tts=x&id=x"
    assert _put(rest, tenant, _WAV, query=query).status == 201
    [recording] = _recordings(rest, tenant)
    assert re.fullmatch(r"\d{6}-[0-9a-f]{32}", str(recording["id"]))
    assert "prompt_id" not in recording
    assert ask(rest, tenant, f"GET {{M}}/{prompt}/raw").body == _OTHER
    assert ask(rest, tenant, "GET {M}/prompts").data == [{"vm-greeting": 1}]


@pytest.mark.parametrize("digits", ["9" * 23, "9" * 5_000])
def test_a_number_that_cannot_be_stored_stays_a_text(
    rest: Rest, tenant: Tenant, digits: str
) -> None:
    reply = _put(rest, tenant, _WAV, query=f"?start={digits}")
    assert (reply.status, reply.data["start"]) == (201, digits)
    assert _recordings(rest, tenant) == [reply.data]


def test_the_same_bytes_change_nothing_and_others_replace(rest: Rest, tenant: Tenant) -> None:
    first = _put(rest, tenant, _WAV)
    for method in ("PUT", "POST"):
        again = _put(rest, tenant, _WAV, method=method)
        assert (again.status, again.json["revision"]) == (200, first.json["revision"])
    other = _put(rest, tenant, _OTHER)
    assert (other.status, other.data["id"]) == (200, first.data["id"])
    assert _get(rest, tenant).body == _OTHER
    assert len(_recordings(rest, tenant)) == 1


def _multipart(*parts: tuple[Sequence[str], bytes]) -> bytes:
    text = b""
    for headers, body in parts:
        text += b"--b\r\n" + "".join(f"{each}\r\n" for each in headers).encode()
        text += b"\r\n" + body + b"\r\n"
    return text + b"--b--\r\n"


_JSON = json.dumps({"call_id": "from JSON", "pvt_secret": 1, "prompt_id": "x"}).encode()
_JSON_PART = ["Content-Disposition: form-data; name=metadata", "Content-Type: application/json"]
_FILE_PART = ["Content-Disposition: form-data; name=content; filename=call.wav"]
_BASE64 = base64.b64encode(_WAV)
_BASE64_HEADER = {"content-transfer-encoding": "base64"}
_BODIES: Mapping[str, tuple[Mapping[str, str], bytes]] = {
    "untyped": ({}, _WAV),
    "base64 type": ({"content-type": "application/base64"}, _BASE64),
    "data URI": ({"content-type": "application/x-base64"}, b"data:audio/x-wav;base64," + _BASE64),
    "base64 header": ({**_TYPE, **_BASE64_HEADER}, _BASE64),
    "form-data": (
        {"content-type": "multipart/form-data; boundary=b"},
        _multipart((_JSON_PART, _JSON), ([*_FILE_PART, "Content-Type: audio/x-wav"], _WAV)),
    ),
    "mixed": (
        {"content-type": "multipart/mixed; boundary=b"},
        _multipart(
            (["Content-Type: application/json"], _JSON),
            (["Content-Type: audio/x-wav", "Content-Transfer-Encoding: base64"], _BASE64),
        ),
    ),
}


@pytest.mark.parametrize("name", _BODIES)
def test_a_file_comes_in_many_forms(rest: Rest, tenant: Tenant, name: str) -> None:
    headers, body = _BODIES[name]
    reply = _put(rest, tenant, body, headers, "?call_id=from+query&to=x")
    assert reply.status == 201, reply.body
    assert _get(rest, tenant).body == _WAV
    call_id = "from JSON" if body.count(_JSON) else "from query"
    assert (reply.data["call_id"], reply.data["to"]) == (call_id, "x")
    assert not {"pvt_secret", "prompt_id"} & reply.data.keys()


_LATE = _multipart((_FILE_PART, _OTHER), (_JSON_PART, _JSON))
_FORM = {"content-type": "multipart/form-data; boundary=b"}
_BAD: Mapping[str, tuple[Mapping[str, str], bytes, int]] = {
    "cut multipart": (_FORM, _multipart((_FILE_PART, _OTHER))[:-300], 400),
    "bad base64": ({"content-type": "application/base64"}, base64.b64encode(_OTHER) + b"*", 400),
    "late JSON": (_FORM, _LATE, 400),
    "no object": (_FORM, _multipart((_JSON_PART, b"[1]"), (_FILE_PART, _OTHER)), 400),
    "no JSON": (_FORM, _multipart((_JSON_PART, b"{"), (_FILE_PART, _OTHER)), 400),
    "no file": (_FORM, _multipart((_JSON_PART, _JSON)), 400),
    "no audio": (_TYPE, b"<html><body>not audio</body></html>", 400),
    "empty": (_TYPE, b"", 400),
    "JSON": ({"content-type": "application/json"}, b"{}", 415),
    "long text": ({"content-type": "text/plain"}, b"x" * (16 * 1024 + 1), 413),
}


@pytest.mark.parametrize("name", _BAD)
def test_bad_bodies_leave_the_recording_as_it_was(rest: Rest, tenant: Tenant, name: str) -> None:
    kept = _put(rest, tenant, _WAV)
    headers, body, status = _BAD[name]
    assert _put(rest, tenant, body, headers).status == status
    assert _get(rest, tenant).body == _WAV
    [recording] = _recordings(rest, tenant)
    assert recording == kept.data
    assert rest.pending_uploads() == 0


def test_a_lying_length_leaves_the_recording_as_it_was(rest: Rest, tenant: Tenant) -> None:
    _put(rest, tenant, _WAV)
    with closing(_begun(rest, tenant, {**_TYPE, "content-length": "100000"})) as connection:
        connection.sendall(_OTHER[:1000])
    assert _get(rest, tenant).body == _WAV


def _begun(rest: Rest, tenant: Tenant, headers: Mapping[str, str]) -> socket.socket:
    sent = {"host": "x", **_basic(tenant), **headers}
    head = f"PUT /recordings/{tenant.id}/call.wav HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    connection = socket.create_connection(("127.0.0.1", rest.port), timeout=20)
    connection.sendall(f"{head}\r\n".encode())
    return connection


def test_a_recorder_may_wait_for_a_sign(rest: Rest, tenant: Tenant) -> None:
    headers = {**_TYPE, "content-length": str(len(_WAV)), "expect": "100-continue"}
    with closing(_begun(rest, tenant, {**headers, "connection": "close"})) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(_WAV)
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
    assert _get(rest, tenant).body == _WAV
    wrong = {**headers, "authorization": "Basic bm86Ym9keQ=="}
    with closing(_begun(rest, tenant, wrong)) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_storage_plan_verifies(rest: Rest, tenant: Tenant) -> None:
    text = {"content-type": "text/plain"}
    path = "/recordings/{A}/test_credentials.txt"
    put = ask(rest, tenant, f"PUT {path}", b"some random text", {**_basic(tenant), **text})
    assert put.status == 201
    found = _get(rest, tenant, "test_credentials.txt")
    assert (found.status, found.headers["content-type"]) == (200, "text/plain")
    assert found.body == b"some random text"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "no-store"
    assert _recordings(rest, tenant) == []
    assert _get(rest, rest.stranger, "test_credentials.txt").status == 404


def test_a_text_never_hides_or_replaces_a_recording(rest: Rest, tenant: Tenant) -> None:
    text = {"content-type": "text/plain"}
    assert _put(rest, tenant, _WAV, text).status == 201
    long = tone(2)
    assert len(long) > MOST_TEXT_BYTES
    assert _put(rest, tenant, base64.b64encode(long), {**text, **_BASE64_HEADER}).status == 200
    refused = _put(rest, tenant, b"some random text", text)
    assert (refused.status, refused.json["message"]) == (409, "datastore_conflict")
    found = _get(rest, tenant)
    assert (found.headers["content-type"], found.body) == ("audio/x-wav", long)
    assert found.headers["x-content-type-options"] == "nosniff"


def test_a_deleted_recording_does_not_come_back_beside_its_successor(
    rest: Rest, tenant: Tenant
) -> None:
    first = _put(rest, tenant, _WAV).data["id"]
    ask(rest, tenant, f"DELETE /v2/accounts/{{A}}/recordings/{first}")
    second = _put(rest, tenant, _OTHER).data["id"]
    restore = f"POST {{M}}/{first}/restore"
    assert ask(rest, tenant, restore, {"data": {}}).status == 409
    assert [each["id"] for each in _recordings(rest, tenant)] == [second]
    ask(rest, tenant, f"DELETE /v2/accounts/{{A}}/recordings/{second}")
    assert ask(rest, tenant, restore, {"data": {}}).status == 200
    assert _get(rest, tenant).body == _WAV


def test_the_account_itself_is_asked_for(rest: Rest, tenant: Tenant) -> None:
    path = "/recordings/{A}/call.wav"
    assert ask(rest, tenant, f"PUT {path}", _WAV, _TYPE, token=True).status == 201
    assert ask(rest, tenant, f"PUT {path}", _WAV, _TYPE, token=False).status == 401
    wrong = {**_TYPE, **_basic(tenant, "0" * 64)}
    assert ask(rest, tenant, f"PUT {path}", _WAV, wrong, token=False).status == 401
    other = f"/recordings/{rest.stranger.id}/call.wav"
    assert ask(rest, tenant, f"PUT {other}", _WAV, _TYPE).status == 403
    assert ask(rest, tenant, f"GET {other}").status == 403
    keys = rest.core.playback_keys
    _, key = rest.run(keys.add(rest.admin_caller, tenant.id, ""))
    plays = _basic(tenant, key)
    assert ask(rest, tenant, f"GET {path}", None, plays, token=False).status == 403
    assert ask(rest, tenant, f"PUT {path}", _WAV, {**_TYPE, **plays}, token=False).status == 403
    assert ask(rest, tenant, f"DELETE {path}").status == 405
