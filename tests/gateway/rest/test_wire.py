"""kazoo-v2, sections 1 and 10: what old and odd clients put on the wire."""

from __future__ import annotations

import json
import socket

import pytest

from tests.gateway.rest.rig import Reply, Rest, Tenant
from tests.gateway.rest.table import Case, ask, create, has, table, upload
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.1)


def _raw(rest: Rest, text: str, body: bytes = b"") -> Reply:
    """Send bytes as they are, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", rest.port), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode("latin-1") + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    return Reply(int(first.split()[1]), headers, content)


def test_http_1_0_is_answered(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    upload(rest, tenant, media_id, _WAV)
    listed = _raw(rest, f"GET {tenant.media}?auth_token={tenant.token} HTTP/1.0\n\n")
    assert (listed.status, len(listed.data)) == (200, 1)
    path = f"{tenant.media}/{media_id}/raw.wav"
    audio = _raw(rest, f"GET {path} HTTP/1.0\nX-Auth-Token: {tenant.token}\n\n")
    assert (audio.status, audio.body) == (200, _WAV)
    assert audio.headers["content-length"] == str(len(_WAV))
    missing = _raw(rest, "GET /v2/nothing HTTP/1.0\n\n")
    assert (missing.status, missing.json["message"]) == (404, "not_found")


def test_a_client_that_waits_for_100_is_invited(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    head = (
        f"POST {tenant.media}/{media_id}/raw HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"x-auth-token: {tenant.token}\r\ncontent-type: audio/wav\r\n"
        f"content-length: {len(_WAV)}\r\nexpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", rest.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(_WAV)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == _WAV


def test_headers_with_underscores_do_no_harm(rest: Rest, tenant: Tenant) -> None:
    headers = {"content_type": "application/json", "x_auth_token": "bad.bad.bad"}
    assert ask(rest, tenant, "GET {M}", headers=headers).status == 200
    created = ask(rest, tenant, "PUT {M}/", {"data": {"name": "x"}}, headers)
    assert created.status == 201


def _doubled(rest: Rest, tenant: Tenant, method: str, path: str, *headers: tuple[str, str]) -> int:
    token = [] if any(name == "x-auth-token" for name, _ in headers) else [tenant.token]
    sent = [*(("x-auth-token", each) for each in token), *headers]
    body = None if method == "GET" else json.dumps({"data": {"name": "x"}}).encode()
    return rest.send(method, path, body, sent).status


def test_doubled_headers_are_one_list(rest: Rest, tenant: Tenant) -> None:
    path = f"{tenant.media}/{create(rest, tenant)}"
    revision = rest.send("GET", path, None, [("x-auth-token", tenant.token)]).headers["etag"]
    for headers, status in (
        ([("if-none-match", revision), ("if-none-match", '"other"')], 304),
        ([("if-none-match", '"other"'), ("if-none-match", revision)], 304),
        ([("accept", "text/html"), ("accept", "application/json")], 200),
        ([("accept", "application/json"), ("accept", "text/html")], 200),
        ([("accept", "text/html"), ("accept", "text/plain")], 406),
        ([("x-auth-token", "bad"), ("x-auth-token", "bad")], 401),
        ([("content-type", "a/b"), ("content-type", "c/d")], 200),
    ):
        assert _doubled(rest, tenant, "GET", path, *headers) == status, headers
    for headers, status in (
        ([("if-match", revision), ("if-match", '"other"')], 200),
        ([("if-match", '"other"'), ("if-match", '"another"')], 412),
        ([("content-type", "application/pdf"), ("content-type", "application/json")], 200),
        ([("content-type", "application/x-www-form-urlencoded"), ("content-type", "a/b")], 200),
    ):
        assert _doubled(rest, tenant, "POST", path, *headers) == status, headers


_IDS = [
    "a b+c",
    "ż-€-日本-😀",
    "100%",
    "50%zz",
    "a'\"b<c>&",
    "?x=1#y",
    "a;b=c,d",
    "a.b",
    ".",
    "..",
    "../..",
    "a/../b",
    "a//b",
    "/a/",
    "a:b:c",
    ":",
    "raw",
    "raw.mp3",
    "media",
    "{media_id}",
    "\\a\\b",
    "a\tb\nc",
    "x" * 500,
    "ż" * 500,
    "silence_stream://300000",
]


@pytest.mark.parametrize("media_id", _IDS, ids=range(len(_IDS)))
def test_an_id_may_hold_any_character(rest: Rest, tenant: Tenant, media_id: str) -> None:
    created = ask(rest, tenant, "PUT {M}", {"data": {"name": "File", "id": media_id}})
    assert (created.status, created.data["id"]) == (201, media_id)
    path = created.headers["location"]
    assert ask(rest, tenant, f"GET {path}").data["id"] == media_id
    assert ask(rest, tenant, f"GET {path}/").data["id"] == media_id
    assert ask(rest, tenant, f"HEAD {path}").status == 200
    assert ask(rest, tenant, f"PATCH {path}", {"data": {"name": "new"}}).status == 200
    audio = ask(rest, tenant, f"POST {path}/raw", _WAV, {"content-type": "audio/wav"})
    assert (audio.status, audio.data["id"]) == (200, media_id)
    assert ask(rest, tenant, f"GET {path}/raw.wav").body == _WAV
    assert [row["id"] for row in ask(rest, tenant, "GET {M}").data] == [media_id]
    again = ask(rest, tenant, "PUT {M}", {"data": {"name": "File", "id": media_id}})
    assert again.status == 409
    assert ask(rest, tenant, f"DELETE {path}?hard_delete=true").data["id"] == media_id
    assert ask(rest, tenant, f"GET {path}").data["cause"] == media_id


@table(
    [
        Case("PUT {M}", status, {"data": {"name": "x", "id": media_id}}, data=data)
        for media_id, status, data in (
            ("x" * 1024, 201, None),
            ("x" * 1025, 400, has(id=has(invalid=has()))),
            ("", 201, None),
            ("prompts", 400, has(id=has(invalid=has()))),
            ("languages", 400, has(id=has(invalid=has()))),
            ("Prompts", 201, None),
            (7, 400, has(id=has(type=has()))),
            (None, 201, None),
            ("%2525", 201, has(id="%")),
            ("%ff", 400, has(id=has(invalid=has()))),
            ("%25ff", 400, has(id=has(invalid=has()))),
            ("a%00", 400, has(id=has(invalid=has()))),
            ("%252561", 400, has(id=has(invalid=has()))),
        )
    ]
)
def test_ids_that_a_client_may_choose(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


@table(
    [
        Case("GET {M}/silence_stream%3A%2F%2F300000", 404, message="bad_identifier"),
        Case("GET {M}/silence_stream%253A%252F%252F300000/raw", 404, message="bad_identifier"),
        Case("GET {M}/" + "x" * 5000, 404, message="bad_identifier"),
        Case("GET {M}/a%00b/raw", 400),
        Case("GET {M}/prompts/%ff", 400, message="validation error", of_gateway=True),
        Case("GET {M}/languages/%25ff", 400, message="validation error"),
        Case("GET {M}?start_key=%ff", 200),
        Case("GET {M}?filter_id=%25ff", 400, message="validation error"),
        Case("GET {M}?start_key=%2500", 400, message="validation error"),
        Case("GET {M}/..", 404, token=False, message="not_found", of_gateway=True),
        Case("GET {M}/%2e%2e", 404, token=False, message="not_found", of_gateway=True),
        Case("GET {M}/a%20b", 404, data=has(cause="a b")),
        Case("GET {M}/a+b", 404, data=has(cause="a+b")),
        Case("GET {M}/a:b", 404, data=has(cause="a:b")),
        Case("GET {M}/a%3Fb", 404, data=has(cause="a?b")),
        Case("GET {M}/%E2%82%AC", 404, data=has(cause="€")),
        Case("GET {M}?%ff=%fe&=&&=x&filter_=&%00=1&has_key=%00", 200, data=[]),
        Case("GET {M}?" + "&".join(f"k{n}=v" for n in range(2000)), 200, data=[]),
        Case("GET {M}?_=1&page_size=5&page_size[]=1&amp;x=1", 200, data=[]),
    ]
)
def test_odd_paths_and_queries(rest: Rest, tenant: Tenant, case: Case) -> None:
    case.run(rest, tenant)


@pytest.mark.parametrize("target", ["/\xc5\xbc", "?filter_name=\xc5\xbc"])
def test_bytes_that_are_not_ascii_are_no_path(rest: Rest, tenant: Tenant, target: str) -> None:
    sent = f"GET {tenant.media}{target} HTTP/1.1\nhost: x\nconnection: close\n"
    reply = _raw(rest, f"{sent}x-auth-token: {tenant.token}\n\n")
    assert (reply.status, reply.json["error"]) == (400, "400")


_STREAMS = [
    "silence",
    "silence_stream://300000",
    "tone_stream://%(2000,4000,440,480)",
    "http://example.com/a.mp3",
    "https://example.com/a.mp3?x=1",
    "shout://example.com/a",
    "local_stream://moh",
]


@pytest.mark.parametrize("prompt_id", _STREAMS)
def test_what_a_switch_plays_itself_has_the_prompt_id_alone(
    rest: Rest, tenant: Tenant, prompt_id: str
) -> None:
    shown = prompt_id.replace("/", "%2F")
    data = {"name": "Stream", "prompt_id": prompt_id, "language": "en-US"}
    created = ask(rest, tenant, "PUT {M}", {"data": data})
    assert created.status == 201, created.body
    assert created.data == has(id=shown, prompt_id=prompt_id, language="en-us")
    path = created.headers["location"]
    assert ask(rest, tenant, f"GET {path}").data["id"] == shown
    changed = ask(rest, tenant, f"POST {path}", {"data": {**data, "language": "de-de"}})
    assert changed.data == has(id=shown, language="de-de")
    for listed in ("/prompts/" + path.rpartition("/")[2], "/languages/de-de"):
        assert ask(rest, tenant, f"GET {{M}}{listed}").data == [shown]
    assert ask(rest, tenant, "GET {M}/prompts").data == [{prompt_id: 1}]
    assert ask(rest, tenant, "PUT {M}", {"data": data}).status == 409
    assert ask(rest, tenant, f"DELETE {path}").status == 200


def test_a_system_prompt_path_is_the_prompt_id(rest: Rest, tenant: Tenant) -> None:
    data = {"name": "x", "prompt_id": "/system_media/vm-enter_pass"}
    assert ask(rest, tenant, "PUT {M}", {"data": data}).data["id"] == "en-us%2Fvm-enter_pass"


@table(
    [
        Case(f"HEAD {path}", status, token=token, of_gateway="%ff" in path)
        for path, status, token in (
            ("{M}", 200, True),
            ("{M}/", 200, True),
            ("{M}/prompts", 200, True),
            ("{M}/languages/x", 200, True),
            ("/v2/media", 200, True),
            ("{M}/none", 404, True),
            ("{M}/none/raw", 404, True),
            ("{M}/a/b/c", 404, False),
            ("/v2/nothing", 404, False),
            ("/v2/api_auth", 405, False),
            ("{M}", 401, False),
            ("{M}/%ff", 400, True),
        )
    ]
)
def test_a_head_never_has_a_body(rest: Rest, tenant: Tenant, case: Case) -> None:
    reply = case.run(rest, tenant)
    assert (reply.body, reply.headers["content-type"]) == (b"", "application/json")
