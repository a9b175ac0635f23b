"""Answers before the body has arrived: clients that send all of it first read them as well."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from tests.gateway.rest.rig import Rest, Tenant
from tests.gateway.rest.table import ask, create
from tests.support.audio_samples import tone

pytestmark = pytest.mark.gateway

_MIB = 1 << 20
_BODY = bytes(20_000_000)
_WAV = {"content-type": "audio/wav"}
_FORM = {"content-type": "multipart/form-data; boundary=b"}

_REFUSED: list[tuple[str, Mapping[str, str], int]] = [
    ("POST {M}/{I}/raw", {**_WAV, "x-auth-token": "a.stale.token"}, 401),
    ("POST {M}/{I}", {**_WAV, "x-auth-token": ""}, 401),
    ("POST {M}/nothing/raw", _WAV, 404),
    ("POST {M}/{I}/nothing", _WAV, 404),
    ("POST /v2/nothing", _WAV, 404),
    ("PUT {M}/{I}/raw", _WAV, 405),
    ("POST {M}/{I}/raw", {**_WAV, "accept": "image/png"}, 406),
    ("POST {M}/{I}/raw", {**_WAV, "if-match": '"x"'}, 412),
    ("POST {M}/{I}/raw", {**_WAV, "content-range": "bytes 0-1/2"}, 400),
    ("POST {M}/{I}/raw", {"content-type": "text/plain"}, 415),
    ("POST {M}/{I}/raw", _FORM, 413),
    ("PUT {M}", {"content-type": "application/json"}, 413),
    ("PUT /v2/api_auth", {}, 413),
]


def _in_pieces() -> Iterator[bytes]:
    for start in range(0, len(_BODY), _MIB):
        yield _BODY[start : start + _MIB]


def _headers(tenant: Tenant, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return list({"x-auth-token": tenant.token, **headers}.items())


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("request_line", "headers", "status"), _REFUSED)
def test_http_client_sends_all_and_reads_the_answer(
    rest: Rest,
    tenant: Tenant,
    request_line: str,
    headers: Mapping[str, str],
    status: int,
    *,
    chunked: bool,
) -> None:
    method, _, path = request_line.partition(" ")
    path = path.replace("{M}", tenant.media).replace("{I}", create(rest, tenant))
    body = _in_pieces() if chunked else _BODY
    reply = rest.send(method, path, body, _headers(tenant, headers))
    assert (reply.status, reply.json["status"]) == (status, "error")


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_an_upload_is_told(rest: Rest, tenant: Tenant, *, announced: bool) -> None:
    path = f"{tenant.media}/{create(rest, tenant)}/raw"
    rest.put_setting("crossbar", "max_upload_size", 10_000)
    try:
        body = _BODY if announced else _in_pieces()
        reply = rest.send("POST", path, body, _headers(tenant, _WAV))
    finally:
        rest.put_setting("crossbar", "max_upload_size", None)
    assert (reply.status, reply.json["message"]) == (413, "request_too_large")
    assert rest.pending_uploads() == 0


def _socket(rest: Rest) -> socket.socket:
    return socket.create_connection(("127.0.0.1", rest.port), timeout=20)


def _head(path: str, size: int) -> bytes:
    lines = ("Host: a", "X-Auth-Token: a.stale.token", "Content-Type: audio/wav")
    head = "\r\n".join((f"POST {path} HTTP/1.1", *lines, f"Content-Length: {size}"))
    return head.encode() + b"\r\n\r\n"


def test_a_socket_that_sends_all_first_reads_the_answer(rest: Rest, tenant: Tenant) -> None:
    with closing(_socket(rest)) as connection:
        connection.sendall(_head(f"{tenant.media}/x/raw", len(_BODY)) + _BODY)
        answer = b"".join(iter(lambda: connection.recv(_MIB), b""))
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert answer.endswith(b"}")


def test_a_client_that_reads_first_need_not_send_the_rest(rest: Rest, tenant: Tenant) -> None:
    with closing(_socket(rest)) as connection:
        connection.sendall(_head(f"{tenant.media}/x/raw", len(_BODY)) + _BODY[:1000])
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(_MIB)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_a_stored_upload_is_not_concerned(rest: Rest, tenant: Tenant) -> None:
    media_id = create(rest, tenant)
    audio = tone(60.0, rate=44_100)
    assert ask(rest, tenant, f"POST {{M}}/{media_id}/raw", audio, _WAV).status == 200
    assert ask(rest, tenant, f"GET {{M}}/{media_id}/raw").body == audio
