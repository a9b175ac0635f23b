"""Expect: 100-continue: what the head decides is answered at once. Source: RFC 9110, 10.1.1."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import closing

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_WAV = tone(0.3)
_AUDIO = {"content-type": "audio/wav", "content-length": str(len(_WAV))}


def _connected(rest: Rest) -> socket.socket:
    return socket.create_connection(("127.0.0.1", rest.port), timeout=20)


def _head(rest: Rest, tenant: Tenant, line: str, headers: Mapping[str, str]) -> bytes:
    line = line.replace("{M}", tenant.media).replace("{I}", create(rest, tenant))
    sent = {
        "host": "x",
        "x-auth-token": tenant.token,
        "expect": "100-continue",
        "connection": "close",
        **headers,
    }
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


_REFUSED: list[tuple[str, Mapping[str, str], int]] = [
    ("POST {M}/{I}/raw", {"x-auth-token": "a.stale.token"}, 401),
    ("POST {M}/{I}", {"x-auth-token": "a.stale.token"}, 401),
    ("POST {M}/{I}/raw", {"content-length": str(600 << 20)}, 413),
    ("POST {M}/nothing/raw", {}, 404),
    ("POST /v1/accounts/{A}/media/nothing/raw", {}, 404),
    ("POST {M}/{I}/raw", {"content-type": "text/plain"}, 415),
    ("POST {M}/{I}/raw?preset=none", {}, 400),
    ("POST {M}/{I}/raw", {"content-range": "bytes 0-1/2"}, 400),
    ("POST {M}/{I}/raw", {"if-match": '"x"'}, 412),
    ("POST {M}/{I}/raw", {"accept": "image/png"}, 406),
    ("PUT {M}/{I}/raw", {}, 405),
    ("POST {M}/{I}/nothing", {}, 404),
    ("POST /v2/nothing", {}, 404),
    ("PUT {M}", {"content-type": "application/json", "content-length": "6000000"}, 413),
    ("POST {M}/{I}/raw", {"x-auth-token": "a.stale.token", "expect": "100-Continue"}, 401),
]


@pytest.mark.parametrize(("line", "headers", "status"), _REFUSED)
def test_the_final_status_comes_instead_of_100(
    rest: Rest, tenant: Tenant, line: str, headers: Mapping[str, str], status: int
) -> None:
    head = _head(rest, tenant, line.replace("{A}", tenant.id), {**_AUDIO, **headers})
    with closing(_connected(rest)) as connection:
        connection.sendall(head)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == str(status)
    assert b" 100 " not in answer.partition(b"\r\n\r\n")[0]


def test_a_client_that_sends_the_body_nevertheless_gets_one_answer(
    rest: Rest, tenant: Tenant
) -> None:
    head = _head(rest, tenant, "POST {M}/{I}/raw", {**_AUDIO, "x-auth-token": "a.b.c"})
    with closing(_connected(rest)) as connection:
        connection.sendall(head)
        answer = connection.recv(65536)
        connection.sendall(_WAV)
        answer += _all(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", ["{M}/{I}/raw", "{M}/{I}", "{M}/{I}/raw.wav"])
def test_a_body_that_is_wanted_is_asked_for(rest: Rest, tenant: Tenant, path: str) -> None:
    head = _head(rest, tenant, f"POST {path}", _AUDIO)
    with closing(_connected(rest)) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(_WAV)
        answer = _all(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    document = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    assert document["content_length"] == len(_WAV)
    assert ask(rest, tenant, f"GET {{M}}/{document['id']}/raw").body == _WAV


def test_a_document_is_asked_for(rest: Rest, tenant: Tenant) -> None:
    body = json.dumps({"data": {"name": "x"}, "auth_token": tenant.token}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    head = _head(rest, tenant, "PUT {M}", {**headers, "x-auth-token": ""})
    with closing(_connected(rest)) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(body)
        assert _all(connection).startswith(b"HTTP/1.1 201 ")


def test_a_client_that_does_not_wait_is_served(rest: Rest, tenant: Tenant) -> None:
    head = _head(rest, tenant, "POST {M}/{I}/raw", _AUDIO)
    with closing(_connected(rest)) as connection:
        connection.sendall(head + _WAV)
        answer = _all(connection)
    assert b"HTTP/1.1 200 " in answer


def test_a_path_that_is_not_utf_8_is_refused_as_ever(rest: Rest, tenant: Tenant) -> None:
    headers = [("x-auth-token", tenant.token), ("expect", "100-continue")]
    reply = rest.send("POST", f"{tenant.media}/%ff/raw", _WAV, headers)
    assert (reply.status, list(reply.data)) == (400, ["path"])
